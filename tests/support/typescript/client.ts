// A client of the service, by the types that openapi-typescript has generated: node client.js URL IMAGE.json

import { readFileSync } from 'node:fs';
import createClient from 'openapi-fetch';
import type { paths } from './api.js';

const [url, file] = process.argv.slice(2) as [string, string];
const { image } = JSON.parse(readFileSync(file, 'utf8')) as { image: number[] };
const client = createClient<paths>({ baseUrl: url });

const { data } = await client.POST('/predict', { body: { image } });
if (!data || !('confidence' in data)) throw new Error('no prediction');
const served = await client.GET('/models');
const { error } = await client.POST('/predict', { body: { image: [1] } });

console.log(
  JSON.stringify({
    prediction: data,
    model: served.data?.models[0]?.modelName,
    problem: error && 'detail' in error ? error.detail : null,
  }),
);
