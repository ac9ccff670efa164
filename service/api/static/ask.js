// Asks for predictions, one request at a time, and comes back by itself when one fails.

import { say, showAnswer, showNothing } from './results.js';

const PAUSE = 60; // milliseconds between an answer and the next question, at least
const REPEAT = 250; // the same, when nothing has changed and it is to keep asking
const PATIENCE = 10_000; // how long an answer may take
const MAX_BACK_OFF = 8_000;

const id = (name) => document.getElementById(name);

export class Asker {
  #subject;
  #changes = 0; // of what is asked about, and how many of them have been answered
  #answered = 0;
  #asking = false;
  #failures = 0;
  #timer;

  /** Ask about a subject: what it is called, where to ask, whether it is `empty`, and its file (`toBlob`). */
  constructor(subject) {
    this.#subject = subject;
    id('repeat').addEventListener('change', () => this.#soon(0));
    id('key').addEventListener('submit', (event) => {
      event.preventDefault();
      sessionStorage.setItem('api-key', id('key-value').value.trim());
      this.#soon(0);
    });
    document.addEventListener('visibilitychange', () => this.#soon(0));
    addEventListener('online', () => this.#soon(0));
  }

  /** Ask again: the subject is another one. */
  changed() {
    this.#changes++;
    this.#busy();
    if (this.#subject.empty) {
      showNothing();
      say('Ready when you are.');
    } else if (!this.#failures) {
      this.#soon(0);
    }
  }

  /** Ask after some milliseconds, unless a question is under way: its end asks again. */
  #soon(milliseconds) {
    if (this.#asking) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), milliseconds);
  }

  async #ask() {
    const subject = this.#subject;
    if (this.#asking || subject.empty || document.hidden) return;
    this.#asking = true;
    const asked = this.#changes;
    let pause = PAUSE;
    try {
      const body = await subject.toBlob();
      const key = sessionStorage.getItem('api-key');
      const headers = { 'Content-Type': body.type, ...(key ? { 'X-API-Key': key } : {}) };
      const started = performance.now();
      const signal = AbortSignal.timeout(PATIENCE);
      const response = await fetch(subject.question, { method: 'POST', body, headers, signal });
      const answer = await response.json();
      const milliseconds = performance.now() - started;
      if (response.ok) {
        this.#answered = asked;
        this.#failures = 0;
        id('key').hidden = true;
        if (!subject.empty) {
          const replica = response.headers.get('X-Served-By') ?? 'an unknown replica';
          showAnswer(subject.read(answer), replica, milliseconds);
          say('');
        }
      } else if (response.status === 429 || response.status >= 500) {
        pause = this.#backOff(response.status === 503 ? 'The service is busy' : 'The service is in trouble', response);
      } else {
        this.#answered = asked; // to ask the same again would not help
        this.#failures = 0;
        refused(response.status, answer);
      }
    } catch {
      pause = this.#backOff('The service can’t be reached');
    }
    this.#asking = false;
    this.#busy();
    if (this.#changes !== this.#answered && !subject.empty) this.#soon(pause);
    else if (id('repeat').checked) this.#soon(Math.max(pause, REPEAT));
  }

  /** Tell assistive technology whether what is shown is the answer to what is asked about. */
  #busy() {
    id('answer').setAttribute('aria-busy', !this.#subject.empty && this.#changes !== this.#answered);
  }

  #backOff(what, response) {
    const wanted = 1000 * Number(response?.headers.get('Retry-After') ?? 0);
    const pause = Math.max(wanted, Math.min(MAX_BACK_OFF, 500 * 2 ** this.#failures++));
    say(`${what}. Your ${this.#subject.name} is kept; trying again every few seconds.`, true);
    this.#answered = -1;
    return pause;
  }
}

/** Call `open` with every file that is chosen, pasted or dropped; `place` shows that one would be taken. */
export function takeFiles(open, place) {
  for (const input of document.querySelectorAll('input[type=file]')) {
    input.addEventListener('change', () => {
      if (input.files[0]) open(input.files[0]);
      input.value = ''; // the same file may be opened again
    });
  }
  document.addEventListener('paste', ({ clipboardData }) => {
    if (clipboardData.files[0]) open(clipboardData.files[0]);
  });
  for (const name of ['dragover', 'dragleave', 'drop']) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      place.classList.toggle('over', name === 'dragover');
      if (name === 'drop' && event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
    });
  }
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
