// Everything that an answer changes on the page.

const RECENT = 48;
const COLOURS = 8; // --replica-0 and so on, in style.css

const id = (name) => document.getElementById(name);

/** Make an element. */
export function element(name, text = '', attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const SURE = 0.85; // a confidence below it is told as doubt

const replicas = new Map();
const listeners = [];

/** Call `listener` with each answer that is shown, and with null when there is none any more. */
export function onAnswer(listener) {
  listeners.push(listener);
}

/** Show an answer, who gave it and how long it took; keep it among the recent ones if it is `finished`.
 *
 * An answer is a label, a bar for each class, what the model saw, and words for what is to be known beside it:
 * `hint` about what was asked, `unknown` for what is unlike all that the model has learned from.
 */
export function showAnswer(answer, replica, milliseconds, finished) {
  const { label, confidence, bars, model, image, shape } = answer;
  id('label').textContent = label;
  id('label').classList.remove('none');
  id('confidence').textContent = percent(confidence);
  showBars(bars);
  showPixels(id('preview'), image, shape);
  id('latency').textContent = `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
  id('model').textContent = `${model.name} ${model.version}`;
  id('replica').textContent = replica;
  showVerdict(answer);
  if (finished) remember(label, replica, model.version);
  listeners.forEach((listener) => listener(answer));
}

/** Say how far the answer can be trusted, and colour it so. */
function showVerdict({ label, confidence, bars, outlier, unknown, hint }) {
  const unsure = confidence < SURE;
  id('answer').classList.toggle('unsure', Boolean(outlier || hint || unsure));
  // Several digits are no digit, too: the hint says why.
  if (hint) {
    say(hint);
  } else if (outlier) {
    say(`${unknown} Its nearest is ${label}.`);
  } else if (unsure) {
    const others = bars.filter((bar) => bar.label !== label);
    const second = others.reduce((one, other) => (other.probability > one.probability ? other : one));
    say(`Not sure: ${label}, or perhaps ${second.label}.`);
  } else {
    say('');
  }
}

/** Forget the last answer, but not who gave the ones before. */
export function showNothing() {
  id('label').textContent = '–';
  id('label').classList.add('none');
  id('confidence').textContent = '';
  for (const row of id('bars').children) {
    const [, track, share] = row.children;
    row.classList.remove('top');
    track.style.setProperty('--share', 0);
    share.textContent = '';
  }
  id('answer').classList.remove('unsure');
  const { width, height } = id('preview');
  id('preview').getContext('2d').clearRect(0, 0, width, height);
  listeners.forEach((listener) => listener(null));
}

/** Say something in words; `trouble` colours it. */
export function say(text, trouble = false) {
  // A screen reader is told only what is new.
  if (id('status').textContent !== text) id('status').textContent = text;
  id('status').classList.toggle('trouble', trouble);
}

/** Write a share, such as a probability, in per cent. */
export function percent(share) {
  if (share > 0.9995 && share < 1) return '> 99.9 %';
  return `${(share * 100).toFixed(1)} %`;
}

function showBars(bars) {
  while (id('bars').children.length < bars.length) {
    const row = element('li');
    row.append(element('b'), element('i'), element('span'));
    id('bars').append(row);
  }
  bars.forEach(({ label, probability, top }, i) => {
    const row = id('bars').children[i];
    const [name, track, share] = row.children;
    row.classList.toggle('top', top);
    name.textContent = label;
    track.style.setProperty('--share', probability);
    share.textContent = percent(probability);
  });
}

/** Show what the model saw, pixel by pixel. */
export function showPixels(canvas, image, [height, width, channels]) {
  const context = canvas.getContext('2d');
  const pixels = context.createImageData(width, height);
  const level = (i) => Math.round(255 * image[i]);
  for (let i = 0; i < height * width; i++) {
    const [red, green, blue] = [0, 1, 2].map((channel) => level(channels * i + channel));
    // Grey is light on the dark of the screen.
    pixels.data.set(channels === 1 ? [255, 255, 255, level(i)] : [red, green, blue, 255], 4 * i);
  }
  context.putImageData(pixels, 0, 0);
}

function remember(label, replica, version) {
  // The same replica with other weights is another one.
  const who = `${replica} ${version}`;
  if (!replicas.has(who)) {
    const [line, count] = [element('li'), element('span', '0', { class: 'count' })];
    line.append(element('i'), element('span', replica), element('small', version), count);
    line.className = `replica-${replicas.size % COLOURS}`;
    id('replicas').append(line);
    replicas.set(who, { line, count, answers: 0 });
  }
  const known = replicas.get(who);
  known.count.textContent = ++known.answers;
  const chip = element('li', label, { title: who, class: known.line.className });
  chip.append(element('span', ` by ${who}`, { class: 'unseen' }));
  id('strip').append(chip);
  while (id('strip').children.length > RECENT) id('strip').firstElementChild.remove();
}
