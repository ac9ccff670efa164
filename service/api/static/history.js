// What was on the paper before, and what was undone: every change, whether a stroke, a picture or a sweep.

const MOST = 500; // changes that can be undone

export class History {
  #past = [];
  #future = [];

  /** What there is now: a list that is never changed, only replaced. */
  now = [];

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  change(next) {
    this.#past.push(this.now);
    if (this.#past.length > MOST) this.#past.shift();
    this.#future = [];
    this.now = next;
  }

  undo() {
    if (!this.canUndo) return;
    this.#future.push(this.now);
    this.now = this.#past.pop();
  }

  redo() {
    if (!this.canRedo) return;
    this.#past.push(this.now);
    this.now = this.#future.pop();
  }
}
