// What the documentation is made of: elements, prose, JSON and schemas in a few words.

const SHORT = 8; // longer lists are shown by their first elements and their length

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** The pieces of a text with `code` in it. */
export function pieces(text) {
  return text.split('`').map((piece, i) => (i % 2 ? element('code', {}, piece) : piece));
}

export function prose(text = '') {
  return element('p', {}, ...pieces(text));
}

/** JSON with its long lists cut short. */
export function shown(value, indent = '') {
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
export function words(schema, api) {
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
