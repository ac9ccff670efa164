// Drawings as links: strokes in the part of an address that stays in the browser.
//
// #d=STROKE.STROKE…, a stroke being points of four characters each: x and y, in 1/4095 of the side.

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const MOST = 4095;
const LONGEST = 4000; // characters: what every program passes on
const START = '#d=';
const FORM = /^#d=(?:[\w-]{4})+(?:\.(?:[\w-]{4})+)*$/;
const TOLERANCE = 0.001; // of the side: how far a point may lie off the line without it

/** Return strokes as the end of an address. */
export function toFragment(strokes) {
  let fragment;
  let tolerance = TOLERANCE;
  do {
    fragment = START + strokes.map((points) => simplified(points, tolerance).flatMap(write).join('')).join('.');
    tolerance *= 2;
  } while (fragment.length > LONGEST && tolerance < 1);
  return fragment.length > LONGEST ? null : fragment;
}

/** Return the strokes in the end of an address, or null if there are none. */
export function fromFragment(fragment) {
  if (fragment.length > LONGEST || !FORM.test(fragment)) return null;
  return fragment
    .slice(START.length)
    .split('.')
    .map((stroke) => stroke.match(/.{4}/g).map((point) => [read(point.slice(0, 2)), read(point.slice(2))]));
}

function write(point) {
  return point.map((share) => {
    const number = Math.round(MOST * Math.min(1, Math.max(0, share)));
    return ALPHABET[number >> 6] + ALPHABET[number & 63];
  });
}

function read([high, low]) {
  return (64 * ALPHABET.indexOf(high) + ALPHABET.indexOf(low)) / MOST;
}

/** Leave out points that lie on the line between others (Ramer, Douglas and Peucker). */
function simplified(points, tolerance) {
  const [first, last] = [points[0], points.at(-1)];
  let [farthest, distance] = [0, tolerance];
  for (let i = 1; i < points.length - 1; i++) {
    const away = offLine(points[i], first, last);
    if (away > distance) [farthest, distance] = [i, away];
  }
  if (!farthest) return points.length > 1 ? [first, last] : [first];
  return [...simplified(points.slice(0, farthest + 1), tolerance).slice(0, -1), ...simplified(points.slice(farthest), tolerance)];
}

function offLine([x, y], [x0, y0], [x1, y1]) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const along = Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x - x0 - along * dx, y - y0 - along * dy);
}
