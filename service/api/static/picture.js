// The page for any other model: shows a picture, what the model saw of it, and the likeliest classes.

import { Asker } from './ask.js';
import { takeFiles } from './files.js';
import { apiKey } from './key.js';
import { say } from './results.js';
import { Failure } from './service.js';
import { copy } from './share.js';

const LIKELIEST = 5;
const PICTURES = ['image/png', 'image/jpeg', 'image/webp'];

const id = (name) => document.getElementById(name);

let file = null;
let shape = null; // [height, width, channels]

/** Learn from the service what its model is called and takes. */
async function learn() {
  if (shape) return;
  const answer = async (path) => (await fetch(path)).json();
  const [{ modelName }] = (await answer('models')).models;
  const { inputs } = await answer(`v2/models/${encodeURIComponent(modelName)}`);
  const [, channels, height, width] = inputs[0].shape;
  shape = [height, width, channels];
  id('model-name').textContent = modelName;
  id('takes').textContent = `${height} × ${width} pixels${channels === 1 ? ', grey' : ''}`;
  id('preview').width = width;
  id('preview').height = height;
  id('preview').ariaLabel = `The ${height} by ${width} pixels that the model saw`;
}

learn().catch(() => {}); // the first question tries again

const asker = new Asker({
  name: 'picture',
  drawing: false,
  options: { preview: true, close: true, top: LIKELIEST },
  get empty() {
    return file === null;
  },
  async toBlob() {
    await learn().catch(() => {
      throw new Failure('The service can’t be reached', { patience: Infinity });
    });
    return file;
  },
  read({ top, confidence, model, image, outlier }) {
    const bars = top.map(({ label, probability }, i) => ({ label, probability, top: i === 0 }));
    const unknown = 'This looks like nothing that the model learned from.';
    return { label: top[0].label, confidence, bars, model, image, shape, outlier, unknown };
  },
});

async function show(chosen) {
  file = chosen;
  const picture = id('picture');
  URL.revokeObjectURL(picture.src);
  if (chosen === null) {
    picture.removeAttribute('src');
  } else {
    picture.src = URL.createObjectURL(chosen);
    picture.alt = `Your picture, ${chosen.name || 'from the clipboard'}`;
  }
  picture.hidden = chosen === null;
  id('hint').hidden = chosen !== null;
  id('clear').disabled = chosen === null;
  id('curl').hidden = chosen === null;
  id('command').textContent = command(chosen?.name || 'picture.png');
  asker.changed();
  asker.finished();
}

/** Return what asks the same from a terminal. */
function command(name) {
  const address = new URL(`predict?top=${LIKELIEST}`, location).href;
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const key = apiKey() ? ' -H "X-API-Key: $KEY"' : '';
  return `curl ${quoted(address)}${key} -F ${quoted(`image=@${name}`)}`;
}

takeFiles((chosen) => {
  if (PICTURES.includes(chosen.type)) show(chosen);
  else say(`${chosen.name || 'That'} is not a PNG, JPEG or WebP picture.`, true);
}, id('paper'));

id('clear').addEventListener('click', () => show(null));
id('copy').addEventListener('click', () => copy(id('command').textContent, 'The command'));
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && file && !event.target.matches('input')) show(null);
});
