// Real digits of MNIST's test set, and what the model makes of them, the ones that it gets wrong among them.

import { predictAll } from './occlusion.js';
import { element } from './results.js';

const SIDE = 28;

const id = (name) => document.getElementById(name);

/** Fill the gallery when it is first opened; a digit that is chosen goes to `choose(picture, pixels)`. */
export function fillGallery(choose) {
  id('gallery').addEventListener('toggle', async () => {
    if (!id('gallery').open || id('tiles').children.length) return;
    id('gallery-words').textContent = 'Asking about each of them…';
    try {
      await fill(choose);
    } catch (failure) {
      id('tiles').replaceChildren();
      id('gallery-words').textContent = `${failure.message}. Close this and open it again.`;
    }
  });
}

async function fill(choose) {
  const { labels } = await (await fetch('static/gallery.json')).json();
  const tiles = await readSprite(labels);
  id('tiles').replaceChildren(...tiles.map(({ item }) => item));
  const answers = await predictAll(tiles.map(({ pixels }) => pixels));
  let wrong = 0;
  tiles.forEach(({ item, canvas, pixels }, i) => {
    const [button, read] = [item.firstElementChild, answers[i].digit];
    const isWrong = read !== labels[i];
    wrong += isWrong;
    item.classList.toggle('wrong', isWrong);
    button.removeAttribute('aria-label'); // its text says more
    button.append(element('span', isWrong ? `${labels[i]}, not ${read}` : labels[i]));
    button.addEventListener('click', () => choose(canvas, pixels));
  });
  id('gallery-words').textContent =
    `${tiles.length - wrong} of these ${tiles.length} are read right, ${wrong} wrong. The hardest were picked: choose one to see why.`;
}

/** Cut the sprite into tiles; each has its pixels in 0..1. */
async function readSprite(labels) {
  const sprite = new Image();
  sprite.src = 'static/gallery.png';
  await sprite.decode();
  const columns = sprite.width / SIDE;
  return labels.map((label, i) => {
    const canvas = Object.assign(document.createElement('canvas'), { width: SIDE, height: SIDE });
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(sprite, -SIDE * (i % columns), -SIDE * Math.floor(i / columns));
    const { data } = context.getImageData(0, 0, SIDE, SIDE);
    const pixels = Array.from({ length: SIDE * SIDE }, (_, at) => data[4 * at] / 255);
    const [item, button] = [element('li'), element('button', '', { type: 'button', 'aria-label': `A ${label}` })];
    button.append(canvas);
    item.append(button);
    return { item, canvas, pixels };
  });
}
