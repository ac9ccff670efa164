// The page for digits: asks for guesses while you draw, and in earnest when you have finished.

import { Asker } from './ask.js';
import { Crop } from './crop.js';
import { takeFiles } from './files.js';
import { fillGallery } from './gallery.js';
import { fromFragment } from './link.js';
import { explain } from './occlusion.js';
import { Paper } from './paper.js';
import { say } from './results.js';
import { share } from './share.js';
import { countGroups } from './strokes.js';

const CLASSES = 10;
const SIDE = 28;
const SETTLED = 800; // milliseconds after which a lifted pen has finished

const id = (name) => document.getElementById(name);

let settling;

const paper = new Paper(id('canvas'), {
  changed(resting) {
    id('hint').hidden = !paper.empty;
    id('clear').disabled = paper.empty;
    id('undo').disabled = !paper.canUndo;
    id('redo').disabled = !paper.canRedo;
    id('crop').hidden = !paper.picture;
    if (!paper.picture) crop.close();
    asker.changed();
    clearTimeout(settling);
    if (resting && !paper.empty) settling = setTimeout(() => asker.finished(), paper.picture ? 0 : SETTLED);
  },
  moved(cursor, down) {
    id('pen').hidden = !cursor;
    id('pen').classList.toggle('down', down);
    if (cursor) Object.assign(id('pen').style, { left: `${cursor[0] * 100}%`, top: `${cursor[1] * 100}%` });
  },
});

const asker = new Asker({
  name: 'drawing',
  // Every question on a connection of its own: behind a Service, the next one may reach another replica.
  options: { preview: true, close: true },
  get empty() {
    return paper.empty;
  },
  get drawing() {
    return paper.drawing;
  },
  toBlob: () => paper.toBlob(),
  read({ digit, confidence, probabilities, model, image, outlier }) {
    const bars = Array.from({ length: CLASSES }, (_, i) => ({ label: i, probability: probabilities[i], top: i === digit }));
    const groups = paper.picture ? 1 : countGroups(paper.strokes);
    const hint = groups > 1 ? `These look like ${groups} digits; the model reads one at a time and takes them for one.` : '';
    const unknown = 'This does not look like a digit.';
    return { label: digit, confidence, bars, model, image, shape: [SIDE, SIDE, 1], outlier, unknown, hint };
  },
});

const crop = new Crop((frame) => paper.crop(frame));

takeFiles(async (file) => {
  try {
    await paper.place(file);
  } catch {
    say('That is not a picture this browser can read; try a PNG, JPEG or WebP file.', true);
  }
}, id('paper'));

share(paper);
explain();
fillGallery(async (picture, pixels) => {
  paper.placePixels(await createImageBitmap(picture), pixels);
  id('paper').scrollIntoView({ block: 'nearest' });
});

id('undo').addEventListener('click', () => paper.undo());
id('redo').addEventListener('click', () => paper.redo());
id('clear').addEventListener('click', () => paper.clear());
document.addEventListener('keydown', (event) => {
  if (event.target.matches('input') || event.altKey) return;
  const key = event.key.toLowerCase();
  if (!event.ctrlKey && !event.metaKey) {
    if (key !== 'escape') return;
    paper.clear();
  } else if (key === 'y' || (key === 'z' && event.shiftKey)) {
    paper.redo();
  } else if (key === 'z') {
    paper.undo();
  } else {
    return;
  }
  event.preventDefault();
});

/** Draw what the address has, if it has a drawing. */
function loadLink() {
  const strokes = fromFragment(location.hash);
  if (strokes) paper.load(strokes);
}

addEventListener('hashchange', loadLink);
loadLink();
