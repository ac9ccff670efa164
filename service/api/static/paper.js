// The paper: strokes and pictures on a canvas, drawn again from what they are.

import { History } from './history.js';
import { drawPhoto, photo, readPhoto } from './photo.js';
import { PEN, fitted, penFor, trace } from './strokes.js';

const STEP = 1 / 28; // one key press
const DRAWING_SIDE = 280; // pixels that are sent; the service needs no more
const PICTURE_SIDE = 560;

export class Paper {
  #canvas;
  #history = new History();
  #stroke = null;
  #cursor = null;
  #penDown = false;
  #pen = PEN; // as wide as it is on the screen

  /** Call `changed(resting)` whenever the drawing changes, `moved(cursor, down)` when keys move the pen. */
  constructor(canvas, { changed, moved }) {
    this.#canvas = canvas;
    this.changed = changed;
    this.moved = moved;
    canvas.addEventListener('pointerdown', (event) => this.#begin(event));
    canvas.addEventListener('pointermove', (event) => this.#follow(event));
    for (const name of ['pointerup', 'pointercancel']) canvas.addEventListener(name, () => this.#end());
    canvas.addEventListener('keydown', (event) => this.#key(event));
    canvas.addEventListener('blur', () => this.#lift());
    new ResizeObserver(() => this.#resize()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.redraw());
  }

  get #items() {
    return this.#history.now;
  }

  get empty() {
    return this.#items.length === 0;
  }

  get drawing() {
    return this.#stroke !== null;
  }

  get canUndo() {
    return this.#history.canUndo;
  }

  get canRedo() {
    return this.#history.canRedo;
  }

  /** The picture that is shown, if there is one. */
  get picture() {
    return this.#items.findLast((item) => item.picture);
  }

  get strokes() {
    return this.#items.filter(({ points }) => points).map(({ points }) => points);
  }

  undo() {
    this.#stroke = null;
    this.#history.undo();
    this.#edited();
  }

  redo() {
    this.#stroke = null;
    this.#history.redo();
    this.#edited();
  }

  clear() {
    if (!this.empty) this.#replace([]);
  }

  /** Draw these strokes in place of what there is. */
  load(strokes) {
    this.#replace(strokes.map((points) => ({ points })));
  }

  /** Lay a picture file on the paper, as large as it fits. */
  async place(file) {
    this.#replace([await readPhoto(file)]);
  }

  /** Lay an image on the paper that is sent as it is: its pixels, in 0..1, and a picture of them. */
  placePixels(picture, pixels) {
    this.#replace([{ ...photo(picture), pixels }]);
  }

  /** Keep a part of the picture, in shares of the paper, with what is drawn on it. */
  async crop({ left, top, right, bottom }) {
    const { picture, width } = this.picture;
    const side = picture.width / width; // nothing of the picture is lost
    const part = newCanvas(Math.max(1, (right - left) * side), Math.max(1, (bottom - top) * side));
    const context = part.getContext('2d');
    context.translate(-left * side, -top * side);
    this.#draw(context, side);
    this.#replace([photo(await createImageBitmap(part))]);
  }

  /** Return what is on the paper as a file: PNG, or pixels in JSON where there is nothing else. */
  toBlob() {
    const { picture } = this;
    if (picture?.pixels && this.#items.length === 1) {
      return new Blob([JSON.stringify({ image: picture.pixels })], { type: 'application/json' });
    }
    return toPNG(picture ? this.#pictureToSend(picture) : this.#drawingToSend());
  }

  #pictureToSend({ x, y, width, height }) {
    // A picture is sent without the paper around it: its own border tells paper from ink.
    const sent = newCanvas(Math.max(1, width * PICTURE_SIDE), Math.max(1, height * PICTURE_SIDE));
    const context = sent.getContext('2d');
    context.translate(-x * PICTURE_SIDE, -y * PICTURE_SIDE);
    this.#draw(context, PICTURE_SIDE);
    return sent;
  }

  #drawingToSend() {
    // Scaled before they are drawn: however small the strokes are, the pen suits them.
    const sent = newCanvas(DRAWING_SIDE, DRAWING_SIDE);
    const context = sent.getContext('2d');
    context.fillStyle = '#fff';
    context.fillRect(0, 0, DRAWING_SIDE, DRAWING_SIDE);
    useRoundPen(context, PEN * DRAWING_SIDE, '#000');
    for (const points of fitted(this.strokes)) trace(context, points, DRAWING_SIDE);
    return sent;
  }

  redraw() {
    this.#draw(this.#canvas.getContext('2d'), this.#canvas.width);
  }

  #replace(items) {
    this.#stroke = null;
    this.#history.change(items);
    this.#edited();
  }

  #edited() {
    // Only between strokes: a line must not change under the hand.
    this.#pen = penFor(this.strokes);
    this.redraw();
    this.changed(true);
  }

  #resize() {
    const side = Math.round(this.#canvas.clientWidth * devicePixelRatio);
    if (side && side !== this.#canvas.width) {
      this.#canvas.width = this.#canvas.height = side;
      this.redraw();
    }
  }

  #draw(context, side) {
    const style = getComputedStyle(this.#canvas);
    context.fillStyle = style.getPropertyValue('--paper');
    context.fillRect(0, 0, side, side);
    const pen = this.picture ? PEN : this.#pen;
    useRoundPen(context, pen * side, this.picture?.ink ?? style.getPropertyValue('--ink'));
    for (const item of this.#items) {
      if (item.picture) drawPhoto(context, item, side);
      else trace(context, item.points, side);
    }
  }

  #point(event) {
    const box = this.#canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  #start(point) {
    this.#stroke = { points: [point] };
    this.#history.change([...this.#items, this.#stroke]);
  }

  #begin(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    this.#lift();
    this.#canvas.setPointerCapture(event.pointerId);
    this.#start(this.#point(event));
    this.redraw();
    this.changed(false);
  }

  #follow(event) {
    if (!this.#stroke || this.#penDown || !event.isPrimary) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    this.#stroke.points.push(...(moves.length ? moves : [event]).map((move) => this.#point(move)));
    this.redraw();
    this.changed(false);
  }

  #end() {
    if (!this.#stroke || this.#penDown) return;
    this.#stroke = null;
    this.#edited();
  }

  #key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!(steps || event.key === ' ') || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.#cursor ??= [0.5, 0.25];
    if (steps) {
      const within = (value) => Math.min(0.95, Math.max(0.05, value));
      this.#cursor = this.#cursor.map((value, i) => within(value + steps[i] * STEP * (event.shiftKey ? 4 : 1)));
      if (this.#penDown) this.#stroke?.points.push(this.#cursor);
    } else if (this.#penDown) {
      this.#lift();
    } else {
      this.#penDown = true;
      this.#start(this.#cursor);
    }
    this.redraw();
    this.moved(this.#cursor, this.#penDown);
    if (this.#penDown) this.changed(false);
  }

  #lift() {
    if (this.#penDown) {
      this.#stroke = null;
      this.#penDown = false;
      this.#edited();
    }
    this.moved(null, false);
  }
}

function useRoundPen(context, width, colour) {
  context.lineCap = context.lineJoin = 'round';
  context.lineWidth = width;
  context.strokeStyle = colour;
}

function newCanvas(width, height) {
  return Object.assign(document.createElement('canvas'), { width, height });
}

/** Return a canvas as a PNG file, at once: convertToBlob waits up to a second for a moment without work. */
function toPNG(canvas) {
  const bytes = atob(canvas.toDataURL('image/png').split(',')[1]);
  return new Blob([Uint8Array.from(bytes, (byte) => byte.charCodeAt(0))], { type: 'image/png' });
}
