// Strokes: lists of points, in shares of the paper's side. What is drawn with them, and what they measure.

export const PEN = 1 / 13; // of the side; MNIST's pens are about that wide on a digit that fills the paper
const FILL = 0.7; // of the side, where such a digit is as large as the pen suits best
const SMALLEST = 0.02; // anything smaller is a dot
const WIDEST = 0.22; // of a drawing's own size: how wide its pen may be on the screen
const GAP = 0.12; // of the height of two digits: what separates them
const HEIGHT = 0.4; // of the highest digit: what is lower is a part of one, or dust

/** Return the box around strokes: left, top, right and bottom. */
function box(strokes) {
  const points = strokes.flat();
  const range = (values) => [Math.min(...values), Math.max(...values)];
  const [[left, right], [top, bottom]] = [range(points.map(([x]) => x)), range(points.map(([, y]) => y))];
  return { left, top, right, bottom };
}

function longest({ left, top, right, bottom }) {
  return Math.max(right - left, bottom - top, SMALLEST);
}

/** Return the same strokes as large as the pen suits, in the middle of the paper. */
export function fitted(strokes) {
  if (!strokes.length) return [];
  const around = box(strokes);
  const scale = FILL / longest(around);
  const [x, y] = [(around.left + around.right) / 2, (around.top + around.bottom) / 2];
  return strokes.map((points) => points.map((point) => [0.5 + (point[0] - x) * scale, 0.5 + (point[1] - y) * scale]));
}

/** Return how wide a pen is on the screen that does not blot strokes of this size. */
export function penFor(strokes) {
  return strokes.length ? Math.min(PEN, WIDEST * longest(box(strokes))) : PEN;
}

/** Draw a stroke on a canvas with a side of so many pixels. */
export function trace(context, points, side) {
  const at = ([x, y]) => [x * side, y * side];
  context.beginPath();
  context.moveTo(...at(points[0]));
  for (let i = 1; i < points.length - 1; i++) {
    // Through the middles, bent by the points: no corners that the hand did not make.
    const middle = [(points[i][0] + points[i + 1][0]) / 2, (points[i][1] + points[i + 1][1]) / 2];
    context.quadraticCurveTo(...at(points[i]), ...at(middle));
  }
  const [x, y] = at(points.at(-1));
  context.lineTo(x + 0.01, y); // a line of no length would leave no dot
  context.stroke();
}

/** Return how many digits strokes seem to be: groups side by side with a gap between them. */
export function countGroups(strokes) {
  const boxes = strokes.map((points) => box([points])).sort((one, other) => one.left - other.left);
  const groups = [];
  for (const next of boxes) {
    const last = groups.at(-1);
    const height = last && Math.max(last.bottom - last.top, next.bottom - next.top);
    if (last && next.left - last.right <= GAP * height) {
      last.top = Math.min(last.top, next.top);
      last.right = Math.max(last.right, next.right);
      last.bottom = Math.max(last.bottom, next.bottom);
    } else {
      groups.push({ ...next });
    }
  }
  const heights = groups.map(({ top, bottom }) => bottom - top);
  return heights.filter((height) => height >= HEIGHT * Math.max(...heights) && height > SMALLEST).length;
}
