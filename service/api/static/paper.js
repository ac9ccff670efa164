// The paper: strokes and pictures on a canvas, drawn again from what they are, so that undo is a pop.

import { PEN, fitted, penFor, trace } from './strokes.js';

const STEP = 1 / 28; // one key press
const DRAWING_SIDE = 280; // pixels that are sent; the service needs no more
const PICTURE_SIDE = 560;

export class Paper {
  #canvas;
  #items = [];
  #stroke = null;
  #cursor = null;
  #penDown = false;
  #pen = PEN; // as wide as it is on the screen

  /** Call `changed(finished)` whenever the drawing changes, `moved(cursor, down)` when keys move the pen. */
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

  get empty() {
    return this.#items.length === 0;
  }

  undo() {
    this.#stroke = null;
    this.#items.pop();
    this.#edited();
  }

  clear() {
    this.#stroke = null;
    this.#items = [];
    this.#edited();
  }

  /** Lay a picture file on the paper, as large as it fits. */
  async place(file) {
    const picture = await createImageBitmap(file);
    const scale = 1 / Math.max(picture.width, picture.height);
    const [width, height] = [picture.width * scale, picture.height * scale];
    this.#items.push({ picture, x: (1 - width) / 2, y: (1 - height) / 2, width, height });
    this.#edited();
  }

  get #strokes() {
    return this.#items.filter(({ points }) => points).map(({ points }) => points);
  }

  /** Return what is on the paper as a PNG file. */
  toBlob() {
    const picture = this.#items.findLast((item) => item.picture);
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
    useRoundPen(context, PEN * DRAWING_SIDE);
    for (const points of fitted(this.#strokes)) trace(context, points, DRAWING_SIDE);
    return sent;
  }

  redraw() {
    this.#draw(this.#canvas.getContext('2d'), this.#canvas.width);
  }

  #edited() {
    // Only between strokes: a line must not change under the hand.
    this.#pen = penFor(this.#strokes);
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
    useRoundPen(context, this.#pen * side);
    context.strokeStyle = style.getPropertyValue('--ink');
    for (const item of this.#items) {
      if (item.picture) context.drawImage(item.picture, item.x * side, item.y * side, item.width * side, item.height * side);
      else trace(context, item.points, side);
    }
  }

  #point(event) {
    const box = this.#canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  #begin(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    this.#lift();
    this.#canvas.setPointerCapture(event.pointerId);
    this.#stroke = { points: [this.#point(event)] };
    this.#items.push(this.#stroke);
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
      this.#stroke = { points: [this.#cursor] };
      this.#items.push(this.#stroke);
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

function useRoundPen(context, width) {
  context.lineCap = context.lineJoin = 'round';
  context.lineWidth = width;
}

function newCanvas(width, height) {
  return Object.assign(document.createElement('canvas'), { width, height });
}

/** Return a canvas as a PNG file, at once: convertToBlob waits up to a second for a moment without work. */
function toPNG(canvas) {
  const bytes = atob(canvas.toDataURL('image/png').split(',')[1]);
  return new Blob([Uint8Array.from(bytes, (byte) => byte.charCodeAt(0))], { type: 'image/png' });
}
