// A form that makes a request: parameters, a body that can be edited or a file, and the answer.

import { LANGUAGES } from './docs-code.js';
import { element, shown } from './docs-parts.js';

let made = 0;

/** A control with its name above it. */
function labelled(name, control) {
  control.id = `control-${(made += 1)}`;
  return element('div', { class: 'field' }, element('label', { for: control.id }, name), control);
}

function select(names) {
  return element('select', {}, ...names.map((name) => element('option', { value: name }, name)));
}

function parameterControl({ schema, example }) {
  if (schema.type === 'boolean') return select(['', 'true', 'false']);
  return element('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', value: example ?? '' });
}

/** The bodies that an operation takes: one for each example, and for each type one of the reader's own. */
function bodiesOf(requestBody) {
  return Object.entries(requestBody?.content ?? {}).flatMap(([type, { examples = {}, schema }]) => {
    const json = type.endsWith('json');
    const field = type.startsWith('multipart/') ? Object.keys(schema.properties ?? { file: null })[0] : null;
    const given = Object.values(examples).map(({ summary, value, 'x-file': file }) => ({ type, name: `${type}: ${summary ?? 'example'}`, text: json ? JSON.stringify(value) : null, file }));
    return json && given.length ? given : [...given, { type, field, name: json ? type : `${type}: a file of yours`, text: json ? '{}' : null }];
  });
}

export function requestForm(method, path, parameters, requestBody) {
  const fields = parameters.map((parameter) => ({ ...parameter, control: parameterControl(parameter) }));
  const bodies = bodiesOf(requestBody);
  const which = select(bodies.map(({ name }) => name));
  const text = element('textarea', { rows: '6', spellcheck: 'false' });
  const file = element('input', { type: 'file' });
  const language = select(Object.keys(LANGUAGES));
  const code = element('pre', { class: 'code', tabindex: '0' });
  const output = element('pre', { class: 'output', role: 'status', tabindex: '0', hidden: '' });
  const button = element('button', { type: 'button' }, 'Run');
  const textField = labelled('Body', text);
  const fileField = labelled('File', file);

  const body = () => bodies[which.selectedIndex];
  const valueOf = ({ control }) => control.value.trim();

  function target() {
    const query = new URLSearchParams();
    let filled = path.slice(1);
    for (const one of fields) {
      if (one.in === 'path') filled = filled.replace(`{${one.name}}`, encodeURIComponent(valueOf(one)));
      else if (one.in === 'query' && valueOf(one)) query.set(one.name, valueOf(one));
    }
    return new URL(filled + (query.size ? `?${query}` : ''), document.baseURI).href;
  }

  function headers(key) {
    const set = body() && !body().field ? [['Content-Type', body().type]] : [];
    for (const one of fields) if (one.in === 'header' && valueOf(one)) set.push([one.name, valueOf(one)]);
    return key ? [...set, ['X-API-Key', key]] : set;
  }

  function fileName() {
    return file.files[0]?.name ?? body().file?.split('/').at(-1) ?? 'FILE';
  }

  function showCode() {
    const key = sessionStorage.getItem('api-key') ? 'KEY' : null; // the key itself is not for a screen
    const sent = body() && (body().text === null ? { file: fileName(), field: body().field } : { text: text.value });
    code.textContent = LANGUAGES[language.value]({ method, url: target(), headers: headers(key), body: sent });
  }

  function choose() {
    if (!body()) return;
    textField.hidden = body().text === null;
    fileField.hidden = !textField.hidden;
    text.value = body().text ?? '';
  }

  async function content() {
    if (!body()) return undefined;
    if (body().text !== null) return text.value;
    const bytes = file.files[0] ?? (body().file ? await (await fetch(body().file)).blob() : null);
    if (!bytes) throw new Error('choose a file first');
    if (!body().field) return bytes;
    const form = new FormData();
    form.append(body().field, bytes, fileName());
    return form;
  }

  async function run() {
    output.hidden = false;
    output.textContent = '…';
    try {
      const missing = fields.find((one) => one.in === 'path' && !valueOf(one));
      if (missing) throw new Error(`fill in ${missing.name} first`);
      const started = performance.now();
      const response = await fetch(target(), { method, headers: headers(sessionStorage.getItem('api-key')), body: await content() });
      const answer = await response.text();
      const milliseconds = (performance.now() - started).toFixed(0);
      const json = response.headers.get('Content-Type')?.includes('json');
      output.textContent = `${response.status} in ${milliseconds} ms\n${json ? shown(JSON.parse(answer)) : answer.slice(0, 4000)}`;
    } catch (error) {
      output.textContent = `No answer: ${error.message}`;
    }
  }

  choose();
  showCode();
  which.addEventListener('change', choose);
  button.addEventListener('click', run);
  const form = element(
    'div',
    { class: 'example' },
    element('h3', {}, 'Try it'),
    ...fields.map(({ name, in: place, required, control }) => labelled(`${name} (${place}${required ? '' : ', optional'})`, control)),
    ...(bodies.length ? [labelled('Kind of body', which), textField, fileField] : []),
    element('div', { class: 'example-head' }, labelled('As code', language), button),
    code,
    output,
  );
  code.setAttribute('aria-label', 'The request as code');
  output.setAttribute('aria-label', 'Answer');
  form.addEventListener('input', showCode);
  form.addEventListener('change', showCode);
  form.addEventListener('focusin', showCode); // a key may have been given meanwhile
  return form;
}
