// A frame on the picture, to keep a part of it: dragged with the pointer, or moved and sized with the keys.

const STEP = 0.02; // of the paper's side, one key press
const SMALLEST = 0.04;

const id = (name) => document.getElementById(name);

/** Offer to crop: `apply(frame)` gets what is to be kept, in shares of the paper. */
export class Crop {
  #frame = null;
  #anchor = null;

  constructor(apply) {
    this.apply = apply;
    const overlay = id('crop-overlay');
    id('crop').addEventListener('click', () => (this.#frame ? this.#finish() : this.#open()));
    overlay.addEventListener('pointerdown', (event) => {
      overlay.setPointerCapture(event.pointerId);
      this.#anchor = this.#point(event);
    });
    overlay.addEventListener('pointermove', (event) => {
      if (this.#anchor) this.#span(this.#anchor, this.#point(event));
    });
    overlay.addEventListener('pointerup', () => {
      this.#anchor = null;
    });
    overlay.addEventListener('keydown', (event) => this.#key(event));
  }

  close() {
    this.#frame = this.#anchor = null;
    id('crop-overlay').hidden = true;
    id('crop').textContent = 'Crop';
  }

  #open() {
    id('crop-overlay').hidden = false;
    id('crop').textContent = 'Keep this';
    this.#show({ left: 0.15, top: 0.15, right: 0.85, bottom: 0.85 });
    id('crop-overlay').focus();
  }

  #finish() {
    const frame = this.#frame;
    this.close();
    this.apply(frame);
  }

  #point({ clientX, clientY }) {
    const { left, top, width, height } = id('crop-overlay').getBoundingClientRect();
    return [(clientX - left) / width, (clientY - top) / height].map((share) => Math.min(1, Math.max(0, share)));
  }

  #span([x0, y0], [x1, y1]) {
    const frame = { left: Math.min(x0, x1), top: Math.min(y0, y1), right: Math.max(x0, x1), bottom: Math.max(y0, y1) };
    if (frame.right - frame.left >= SMALLEST && frame.bottom - frame.top >= SMALLEST) this.#show(frame);
  }

  /** Arrows move the frame; with Shift they move its right and lower edge. */
  #key(event) {
    const [x, y] = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key] ?? [0, 0];
    if (event.key === 'Enter') this.#finish();
    else if (event.key === 'Escape') this.close();
    else if (x || y) this.#move(event.shiftKey, x, y);
    else return;
    event.preventDefault();
    event.stopPropagation(); // Escape clears the paper otherwise
  }

  #move(resize, x, y) {
    const { left, top, right, bottom } = this.#frame;
    const moved = resize ? { left, top, right: right + x, bottom: bottom + y } : { left: left + x, top: top + y, right: right + x, bottom: bottom + y };
    const within = moved.left >= -1e-9 && moved.top >= -1e-9 && moved.right <= 1 + 1e-9 && moved.bottom <= 1 + 1e-9;
    if (within && moved.right - moved.left >= SMALLEST && moved.bottom - moved.top >= SMALLEST) this.#show(moved);
  }

  #show(frame) {
    this.#frame = frame;
    for (const [edge, share] of Object.entries(frame)) id('crop-frame').style.setProperty(`--${edge}`, share);
  }
}
