// The documentation: openapi.json, made readable. Every example can be run from here.

const SHORT = 8; // longer lists are shown by their first elements and their length

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** The pieces of a text with `code` in it. */
function pieces(text) {
  return text.split('`').map((piece, i) => (i % 2 ? element('code', {}, piece) : piece));
}

function prose(text = '') {
  return element('p', {}, ...pieces(text));
}

/** JSON with its long lists cut short. */
function shown(value, indent = '') {
  const more = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.every((item) => typeof item !== 'object')) {
      const items = value.slice(0, value.length > 32 ? SHORT : 32).map((item) => JSON.stringify(item));
      return `[${items.join(', ')}${value.length > 32 ? `, … ${value.length} in all` : ''}]`;
    }
    const items = value.slice(0, 3).map((item) => more + shown(item, more));
    if (value.length > 3) items.push(`${more}… ${value.length} in all`);
    return `[\n${items.join(',\n')}\n${indent}]`;
  }
  if (value && typeof value === 'object') {
    const members = Object.entries(value).map(([key, item]) => `${more}${JSON.stringify(key)}: ${shown(item, more)}`);
    return members.length ? `{\n${members.join(',\n')}\n${indent}}` : '{}';
  }
  return JSON.stringify(value);
}

/** A schema in a few words, its parts by name. */
function words(schema, api) {
  if (schema.$ref) return words(api.components.schemas[schema.$ref.split('/').at(-1)], api);
  if (schema.anyOf) return [...new Set(schema.anyOf.map((one) => words(one, api)))].join(' or ');
  if (schema.enum) return schema.enum.join(', ');
  if ('const' in schema) return JSON.stringify(schema.const);
  if (schema.type === 'array' && schema.items) {
    const { minItems: least, maxItems: most } = schema;
    const count = least === most ? least : most ? `${least} to ${most}` : '';
    return `[${words(schema.items, api)}${count ? ` × ${count}` : ''}]`;
  }
  if (schema.type === 'object' && schema.properties) {
    const needed = new Set(schema.required);
    const parts = Object.entries(schema.properties).filter(([, part]) => part);
    return `{${parts.map(([name, part]) => `${name}${needed.has(name) ? '' : '?'}: ${words(part, api)}`).join(', ')}}`;
  }
  if (schema.minimum !== undefined && schema.maximum !== undefined) return `${schema.type} ${schema.minimum}..${schema.maximum}`;
  return schema.type ?? 'bytes';
}

async function run(method, path, type, body, output) {
  output.hidden = false;
  output.textContent = '…';
  const headers = type ? { 'Content-Type': type } : {};
  const key = sessionStorage.getItem('api-key');
  if (key) headers['X-API-Key'] = key;
  try {
    const started = performance.now();
    const response = await fetch(path.slice(1), { method, headers, body: await body() });
    const text = await response.text();
    const milliseconds = (performance.now() - started).toFixed(0);
    const json = response.headers.get('Content-Type')?.includes('json');
    output.textContent = `${response.status} in ${milliseconds} ms\n${json ? shown(JSON.parse(text)) : text.slice(0, 4000)}`;
  } catch (error) {
    output.textContent = `No answer: ${error.message}`;
  }
}

function example(method, path, type, { summary, value, 'x-file': file }) {
  const output = element('pre', { class: 'output', role: 'status', hidden: '' });
  const button = element('button', { type: 'button' }, 'Run');
  const body = file ? async () => (await fetch(file)).blob() : async () => (type ? JSON.stringify(value) : undefined);
  button.addEventListener('click', () => run(method, path, type, body, output));
  return element(
    'div',
    { class: 'example' },
    element('div', { class: 'example-head' }, element('span', {}, summary ?? 'Try it'), button),
    type ? element('pre', {}, file ? `curl -H 'Content-Type: ${type}' --data-binary @${file.split('/').at(-1)} ${new URL(path.slice(1), location.href)}` : shown(value)) : null,
    output,
  );
}

/** The path with its parameters filled in, or nothing if one has no example. */
function filled(path, parameters) {
  let complete = true;
  const url = path.replace(/{(\w+)}/g, (whole, name) => {
    const found = parameters.find((parameter) => parameter.name === name)?.example;
    complete &&= found !== undefined;
    return found ?? whole;
  });
  return complete ? url : null;
}

function operation(method, path, shared, api) {
  const { summary, description, requestBody, responses, parameters: own = [], security = [] } = shared[method];
  const parameters = [...(shared.parameters ?? []), ...own];
  const section = element('details', { class: 'card operation' });
  section.append(
    element('summary', {}, element('b', { class: method }, method.toUpperCase()), element('code', {}, path), element('span', {}, summary)),
  );
  if (description) section.append(prose(description));
  if (security.length) section.append(prose('Needs an API key: `Authorization: Bearer KEY` or `X-API-Key: KEY`.'));
  const rows = (entries) => element('dl', { class: 'rows' }, ...entries.map(([term, text]) => element('div', {}, element('dt', {}, element('code', {}, term)), element('dd', {}, ...pieces(text)))));
  if (parameters.length) {
    section.append(element('h3', {}, 'Parameters'), rows(parameters.map(({ name, in: place, description: text, schema }) => [name, `${text ?? ''} (${place}, ${words(schema, api)})`.trim()])));
  }
  const url = filled(path, parameters);
  const kinds = Object.entries(requestBody?.content ?? {});
  if (kinds.length) {
    section.append(element('h3', {}, 'Body'), rows(kinds.map(([type, { schema }]) => [type, words(schema, api)])));
    for (const [type, { examples = {} }] of kinds) {
      if (url) section.append(...Object.values(examples).map((one) => example(method.toUpperCase(), url, type, one)));
    }
  } else if (url) {
    section.append(example(method.toUpperCase(), url, null, {}));
  }
  section.append(element('h3', {}, 'Answers'), rows(Object.entries(responses).map(([status, answer]) => [status, answer.description])));
  return section;
}

const place = document.getElementById('docs');
try {
  const api = await (await fetch('openapi.json')).json();
  place.replaceChildren(element('div', { class: 'intro' }, ...api.info.description.split('\n\n').map(prose)));
  for (const tag of api.tags) {
    place.append(element('h2', {}, tag.name[0].toUpperCase() + tag.name.slice(1)), prose(tag.description));
    for (const [path, shared] of Object.entries(api.paths)) {
      for (const method of ['get', 'post', 'put']) {
        if (shared[method]?.tags.includes(tag.name)) place.append(operation(method, path, shared, api));
      }
    }
  }
  place.querySelector('details').open = true;
} catch (error) {
  place.replaceChildren(element('p', { class: 'status trouble', role: 'alert' }, `openapi.json can’t be read: ${error.message}`));
}
