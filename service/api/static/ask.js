// Asks about what is on the page, one question at a time, and comes back by itself when one fails.

import { askForKey, focusKey, keyAccepted, keyWanted, onKey } from './key.js';
import { say, showAnswer, showNothing } from './results.js';
import { predict } from './service.js';

const PAUSE = 60; // milliseconds between an answer and the next question, at least
const REPEAT = 250; // the same, when nothing has changed and it is to keep asking
const THINKING = 150; // an answer that takes longer is announced, and the last one greyed
const RECONNECT = 700; // between two attempts to reach a service that is gone
const MAX_BACK_OFF = 8_000; // between two questions to a service that is overloaded

const id = (name) => document.getElementById(name);

export class Asker {
  #subject;
  #changes = 0; // of what is asked about; the next three are each one of them
  #answered = 0; // what is shown is the answer to it, or says that there is none
  #finished = -1; // it is not a draft
  #counted = -1; // it has been asked about as what it is
  #refused = -1; // to ask again would not help
  #asking = false;
  #failures = 0; // in a row, and since when
  #failingSince = 0;
  #timer;
  #late = null;

  /** Ask about a subject: its name, whether it is `empty` or `drawing`, its `options`, `toBlob` and `read`. */
  constructor(subject) {
    this.#subject = subject;
    const retry = () => {
      this.#failingSince = performance.now();
      this.#soon(0);
    };
    id('repeat').addEventListener('change', () => this.#soon(0));
    id('again').addEventListener('click', () => {
      this.#reopen();
      retry();
    });
    onKey(() => {
      this.#reopen();
      retry();
    });
    document.addEventListener('visibilitychange', retry);
    addEventListener('online', retry);
  }

  /** The subject is another one, and may change again at once: guess. */
  changed() {
    this.#changes++;
    id('again').hidden = true;
    if (this.#subject.empty) {
      this.#fresh();
      showNothing();
      say('Ready when you are.');
    } else {
      this.#expect();
      if (keyWanted() && !this.#subject.drawing) focusKey();
      if (!this.#failures) this.#soon(0);
    }
    this.#busy();
  }

  /** The subject stays as it is: ask in earnest. */
  finished() {
    this.#finished = this.#changes;
    if (!this.#failures) this.#soon(0);
  }

  get #due() {
    const now = this.#changes;
    return this.#answered !== now || (this.#finished === now && this.#counted !== now);
  }

  get #repeating() {
    return id('repeat').checked && this.#refused !== this.#changes;
  }

  #reopen() {
    this.#answered = this.#counted = this.#refused = -1;
  }

  /** Ask after some milliseconds, unless a question is under way: its end asks again. */
  #soon(milliseconds) {
    if (this.#asking) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), milliseconds);
  }

  async #ask() {
    const subject = this.#subject;
    if (this.#asking || subject.empty || document.hidden || !(this.#due || this.#repeating)) return;
    const asked = this.#changes;
    const finished = this.#finished === asked;
    if (keyWanted() && !finished) return;
    this.#asking = true;
    // The same again says nothing new about what people draw.
    const draft = !finished || this.#counted === asked;
    let pause = PAUSE;
    try {
      const answer = await predict(await subject.toBlob(), { ...subject.options, draft });
      this.#take(asked, answer, finished);
    } catch (failure) {
      pause = this.#fail(asked, failure);
    }
    this.#asking = false;
    this.#busy();
    if (pause === null || subject.empty) return;
    if (this.#due) this.#soon(pause);
    else if (this.#repeating) this.#soon(Math.max(pause, REPEAT));
  }

  #take(asked, { answer, replica, milliseconds }, finished) {
    this.#answered = asked;
    if (finished) this.#counted = asked;
    this.#failures = 0;
    keyAccepted();
    id('again').hidden = true;
    this.#fresh();
    if (this.#subject.empty) return;
    showAnswer(this.#subject.read(answer), replica, milliseconds, finished);
    if (this.#changes !== asked) this.#expect();
  }

  /** Tell what went wrong; return when to ask again, or null if that would not help. */
  #fail(asked, failure) {
    const now = performance.now();
    if (!this.#failures++) this.#failingSince = now;
    clearTimeout(this.#late);
    const again = failure.patience > now - this.#failingSince;
    if (again) {
      id('answer').classList.add('stale');
      say(`${failure.message}. Your ${this.#subject.name} is kept; trying again.`, true);
      this.#answered = -1;
      return failure.overloaded ? Math.max(failure.pause, Math.min(MAX_BACK_OFF, 250 * 2 ** this.#failures)) : RECONNECT;
    }
    // A change asks again all the same: what was wrong may have been the subject.
    this.#failures = 0;
    this.#answered = this.#counted = this.#refused = asked;
    this.#fresh();
    showNothing();
    if (failure.status === 401) {
      askForKey(this.#subject.drawing);
    } else {
      say(failure.patience ? `${failure.message}. Trying again did not help.` : failure.message, true);
      id('again').hidden = !failure.proxy;
    }
    return this.#changes === asked ? null : PAUSE;
  }

  /** Grey what is shown if its successor takes long. */
  #expect() {
    this.#late ??= setTimeout(() => {
      id('answer').classList.add('stale');
      if (!this.#failures) say('Thinking…');
    }, THINKING);
  }

  #fresh() {
    clearTimeout(this.#late);
    this.#late = null;
    id('answer').classList.remove('stale');
  }

  /** Tell assistive technology whether what is shown is the answer to what is asked about. */
  #busy() {
    id('answer').setAttribute('aria-busy', !this.#subject.empty && this.#changes !== this.#answered);
  }
}
