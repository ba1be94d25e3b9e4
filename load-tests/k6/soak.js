// A mixture for hours: plain, streamed and large requests, and clients that leave in the middle. Watch
// the process's memory beside it; the thresholds see errors and a growing tail.
//   k6 run -e BASE_URL=http://127.0.0.1:8080/v1 -e KEY=... -e RATE=100 -e DURATION=1h load-tests/k6/soak.js

import http from 'k6/http';
import { check } from 'k6';
import { baseUrl, chat, key, modelOr, openLoop, rateOr } from './settings.js';

const rate = rateOr(100);
const plainModel = modelOr('gpt-4o-mini');
const streamModel = __ENV.STREAM_MODEL || modelOr('gpt-4o-mini;chunks=50;gap=10ms');
const large = 'x'.repeat(1 << 20);

function share(part, seconds) {
  return openLoop(Math.max(1, Math.floor(rate * part)), seconds);
}

export const options = {
  scenarios: {
    plain: { ...share(0.7, 0.05), exec: 'plain' },
    streams: { ...share(0.2, 0.6), exec: 'streams' },
    large: { ...share(0.01, 0.5), exec: 'largeBody' },
    leavers: { ...share(0.09, 0.2), exec: 'leavers' },
  },
  thresholds: {
    checks: ['rate>0.999'],
    // Clients that leave fail by design, so only the others count.
    'http_req_failed{kind:stays}': ['rate<0.001'],
    'http_req_duration{scenario:plain}': [`p(99)<${__ENV.P99_MS || 100}`],
    'http_req_waiting{scenario:streams}': [`p(99)<${__ENV.TTFT_P99_MS || 100}`],
    'http_req_duration{scenario:large}': [`p(99)<${__ENV.LARGE_P99_MS || 1000}`],
  },
};

const stays = { kind: 'stays' };

export function plain() {
  const answer = chat(plainModel, 'All clear?', {}, stays);
  check(answer, { 'plain: status is 200': (r) => r.status === 200 });
}

export function streams() {
  const answer = chat(streamModel, 'All clear?', { stream: true }, stays);
  check(answer, {
    'stream: ends with data: [DONE]': (r) => (r.body || '').trimEnd().endsWith('data: [DONE]'),
  });
}

export function largeBody() {
  const answer = chat(plainModel, large, {}, stays);
  check(answer, { 'large: status is 200': (r) => r.status === 200 });
}

// The time-out closes the connection within the stream.
export function leavers() {
  const body = { model: streamModel, stream: true, messages: [{ role: 'user', content: 'All clear?' }] };
  http.post(`${baseUrl}/chat/completions`, JSON.stringify(body), {
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` },
    tags: { kind: 'leaves' },
    timeout: '200ms',
  });
}
