// A request as code: for curl, Python and JavaScript. A body is text, a file, or a form with a file.

const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const quoted = (text) => JSON.stringify(text);

function curl({ method, url, headers, body }) {
  const words = ['curl'];
  if (method !== 'GET') words.push('-X', method);
  words.push(shell(url));
  for (const [name, value] of headers) words.push('-H', shell(`${name}: ${value}`));
  if (body?.field) words.push('-F', shell(`${body.field}=@${body.file}`));
  else if (body?.file) words.push('--data-binary', shell(`@${body.file}`));
  else if (body) words.push('-d', shell(body.text));
  return words.join(' ');
}

function python({ method, url, headers, body }) {
  const lines = [`    ${quoted(url)},`];
  if (headers.length) lines.push(`    headers={${headers.map(([name, value]) => `${quoted(name)}: ${quoted(value)}`).join(', ')}},`);
  if (body?.field) lines.push(`    files={${quoted(body.field)}: open(${quoted(body.file)}, "rb")},`);
  else if (body?.file) lines.push(`    data=open(${quoted(body.file)}, "rb"),`);
  else if (body) lines.push(`    data=${quoted(body.text)}.encode(),`);
  lines.push('    timeout=10,');
  return `import requests\n\nresponse = requests.${method.toLowerCase()}(\n${lines.join('\n')}\n)\nprint(response.status_code, response.text)`;
}

function javascript({ method, url, headers, body }) {
  const lines = [];
  const options = [`  method: ${quoted(method)},`];
  if (headers.length) options.push(`  headers: { ${headers.map(([name, value]) => `${quoted(name)}: ${quoted(value)}`).join(', ')} },`);
  if (body?.file) lines.push(`import { readFile } from 'node:fs/promises';\n`, `const file = await readFile(${quoted(body.file)});`);
  if (body?.field) {
    lines.push(`const body = new FormData();`, `body.append(${quoted(body.field)}, new Blob([file]), ${quoted(body.file)});`);
    options.push('  body,');
  } else if (body) options.push(`  body: ${body.file ? 'file' : quoted(body.text)},`);
  lines.push(`const response = await fetch(${quoted(url)}, {\n${options.join('\n')}\n});`, 'console.log(response.status, await response.text());');
  return lines.join('\n');
}

export const LANGUAGES = { curl, Python: python, JavaScript: javascript };
