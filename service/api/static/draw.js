// The page: asks for a prediction while you draw, one request at a time, and comes back by itself when one fails.

import { Paper } from './paper.js';
import { say, showAnswer, showNothing } from './results.js';

const PAUSE = 60; // milliseconds between an answer and the next question, at least
const REPEAT = 250; // the same, when nothing has changed and it is to keep asking
const PATIENCE = 10_000; // how long an answer may take
const MAX_BACK_OFF = 8_000;
// Every question on a connection of its own: behind a Service, the next one may reach another replica.
const QUESTION = 'predict?preview=true&close=true';

const id = (name) => document.getElementById(name);

let changes = 0; // of the drawing, and how many of them have been answered
let answered = 0;
let asking = false;
let failures = 0;
let timer;

const paper = new Paper(id('canvas'), {
  changed() {
    changes++;
    busy();
    id('hint').hidden = !paper.empty;
    id('undo').disabled = id('clear').disabled = paper.empty;
    if (paper.empty) {
      showNothing();
      say('Ready when you are.');
    } else if (!failures) {
      soon(0);
    }
  },
  moved(cursor, down) {
    id('pen').hidden = !cursor;
    id('pen').classList.toggle('down', down);
    if (cursor) Object.assign(id('pen').style, { left: `${cursor[0] * 100}%`, top: `${cursor[1] * 100}%` });
  },
});

/** Ask after some milliseconds, unless a question is under way: its end asks again. */
function soon(milliseconds) {
  if (asking) return;
  clearTimeout(timer);
  timer = setTimeout(ask, milliseconds);
}

async function ask() {
  if (asking || paper.empty || document.hidden) return;
  asking = true;
  const asked = changes;
  let pause = PAUSE;
  try {
    const body = await paper.toBlob();
    const key = sessionStorage.getItem('api-key');
    const headers = { 'Content-Type': 'image/png', ...(key ? { 'X-API-Key': key } : {}) };
    const started = performance.now();
    const response = await fetch(QUESTION, { method: 'POST', body, headers, signal: AbortSignal.timeout(PATIENCE) });
    const answer = await response.json();
    const milliseconds = performance.now() - started;
    if (response.ok) {
      answered = asked;
      failures = 0;
      id('key').hidden = true;
      if (!paper.empty) {
        showAnswer(answer, response.headers.get('X-Served-By') ?? 'an unknown replica', milliseconds);
        say('');
      }
    } else if (response.status === 429 || response.status >= 500) {
      pause = backOff(response.status === 503 ? 'The service is busy' : 'The service is in trouble', response);
    } else {
      answered = asked; // to ask the same again would not help
      failures = 0;
      refused(response.status, answer);
    }
  } catch {
    pause = backOff('The service can’t be reached');
  }
  asking = false;
  busy();
  if (changes !== answered && !paper.empty) soon(pause);
  else if (id('repeat').checked) soon(Math.max(pause, REPEAT));
}

/** Tell assistive technology whether what is shown is the answer to what is drawn. */
function busy() {
  id('answer').setAttribute('aria-busy', !paper.empty && changes !== answered);
}

function backOff(what, response) {
  const wanted = 1000 * Number(response?.headers.get('Retry-After') ?? 0);
  const pause = Math.max(wanted, Math.min(MAX_BACK_OFF, 500 * 2 ** failures++));
  say(`${what}. Your drawing is kept; trying again every few seconds.`, true);
  answered = -1;
  return pause;
}

function refused(status, problem) {
  showNothing();
  if (status === 401) {
    id('key').hidden = false;
    id('key-value').focus();
    say('The key is missing or wrong.', true);
  } else {
    say(`${problem.title ?? 'That did not work'}: ${problem.detail ?? status}`, true);
  }
}

async function open(file) {
  try {
    await paper.place(file);
  } catch {
    say('That is not a picture this browser can read; try a PNG, JPEG or WebP file.', true);
  }
}

id('undo').addEventListener('click', () => paper.undo());
id('clear').addEventListener('click', () => paper.clear());
id('repeat').addEventListener('change', () => soon(0));
id('file').addEventListener('change', ({ target }) => {
  if (target.files[0]) open(target.files[0]);
  target.value = ''; // the same file may be opened again
});
id('key').addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem('api-key', id('key-value').value.trim());
  soon(0);
});
document.addEventListener('keydown', (event) => {
  if (event.target.matches('input') || event.altKey) return;
  if ((event.ctrlKey || event.metaKey) && event.key === 'z') paper.undo();
  else if (event.key === 'Escape') paper.clear();
  else return;
  event.preventDefault();
});
document.addEventListener('paste', ({ clipboardData }) => {
  if (clipboardData.files[0]) open(clipboardData.files[0]);
});
for (const name of ['dragover', 'dragleave', 'drop']) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    id('paper').classList.toggle('over', name === 'dragover');
    if (name === 'drop' && event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
  });
}
document.addEventListener('visibilitychange', () => soon(0));
addEventListener('online', () => soon(0));
