// The page for digits: asks for a prediction while you draw.

import { Asker, takeFiles } from './ask.js';
import { Paper } from './paper.js';
import { say } from './results.js';

const CLASSES = 10;
const SIDE = 28;

const id = (name) => document.getElementById(name);

const paper = new Paper(id('canvas'), {
  changed() {
    id('hint').hidden = !paper.empty;
    id('undo').disabled = id('clear').disabled = paper.empty;
    asker.changed();
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
  question: 'predict?preview=true&close=true',
  get empty() {
    return paper.empty;
  },
  toBlob: () => paper.toBlob(),
  read({ digit, confidence, probabilities, model, image }) {
    const bars = Array.from({ length: CLASSES }, (_, i) => ({ label: i, probability: probabilities[i], top: i === digit }));
    return { label: digit, confidence, bars, model, image, shape: [SIDE, SIDE, 1] };
  },
});

takeFiles(async (file) => {
  try {
    await paper.place(file);
  } catch {
    say('That is not a picture this browser can read; try a PNG, JPEG or WebP file.', true);
  }
}, id('paper'));

id('undo').addEventListener('click', () => paper.undo());
id('clear').addEventListener('click', () => paper.clear());
document.addEventListener('keydown', (event) => {
  if (event.target.matches('input') || event.altKey) return;
  if ((event.ctrlKey || event.metaKey) && event.key === 'z') paper.undo();
  else if (event.key === 'Escape') paper.clear();
  else return;
  event.preventDefault();
});
