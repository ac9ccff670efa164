// What mattered: the picture is asked about again and again, each time with another part of it blacked out.

import { element, onAnswer, percent, say, showPixels } from './results.js';
import { Failure, jsonBody, predict } from './service.js';

const SIDE = 28;
const PATCH = 4; // pixels of a side: 7 × 7 patches

const id = (name) => document.getElementById(name);

/** Offer a map of what mattered for the answer that is shown. */
export function explain() {
  let shown = null;
  onAnswer((answer) => {
    const same = answer && shown && answer.label === shown.label && answer.image.every((level, i) => level === shown.image[i]);
    shown = answer;
    id('explain').disabled = !answer;
    if (!same) id('map').hidden = true;
  });
  id('explain').addEventListener('click', async () => {
    const answer = shown;
    id('explain').disabled = true;
    try {
      const patches = await measure(answer);
      if (shown === answer) show(answer, patches);
    } catch (failure) {
      say(`${failure.message}.`, true);
    }
    id('explain').disabled = !shown;
  });
}

/** Return, for each patch with ink, where it is and what the picture is taken for without it. */
async function measure({ image }) {
  const patches = [];
  for (let y = 0; y < SIDE; y += PATCH) {
    for (let x = 0; x < SIDE; x += PATCH) {
      const without = image.slice();
      for (let row = y; row < y + PATCH; row++) without.fill(0, row * SIDE + x, row * SIDE + x + PATCH);
      if (without.some((level, i) => level !== image[i])) patches.push({ x, y, without });
    }
  }
  const answers = await predictAll(patches.map(({ without }) => without));
  return patches.map(({ x, y }, i) => ({ x, y, answer: answers[i] }));
}

/** Return the answers for many images, in as few requests as the service takes them. */
export async function predictAll(images) {
  try {
    const { answer } = await predict(jsonBody({ images }), { draft: true });
    return answer.predictions;
  } catch (failure) {
    if (!(failure instanceof Failure) || failure.status !== 413 || images.length === 1) throw failure;
    const half = Math.ceil(images.length / 2);
    return [...(await predictAll(images.slice(0, half))), ...(await predictAll(images.slice(half)))];
  }
}

function show({ label, image, shape, bars }, patches) {
  const before = bars.find((bar) => bar.label === label).probability;
  const drops = patches.map(({ answer }) => before - answer.probabilities[label]);
  const largest = Math.max(...drops.map(Math.abs), 1e-9);
  showPixels(id('map-pixels'), image, shape);
  id('map-patches').replaceChildren(
    ...patches.map(({ x, y }, i) => {
      const patch = element('i', '', { class: drops[i] > 0 ? 'for' : 'against' });
      patch.style.setProperty('--x', x / PATCH);
      patch.style.setProperty('--y', y / PATCH);
      patch.style.setProperty('--share', Math.abs(drops[i]) / largest);
      return patch;
    }),
  );
  const most = drops.indexOf(Math.max(...drops));
  const { answer } = patches[most];
  id('map-patches').children[most].classList.add('most');
  const still = `it is still ${label === 8 ? 'an' : 'a'} ${label}, at ${percent(answer.probabilities[label])} instead of ${percent(before)}`;
  const other = `it would be read as ${answer.digit} (${percent(answer.confidence)})`;
  id('map-words').textContent = `Without the framed part ${answer.digit === label ? still : other}.`;
  id('map').hidden = false;
}
