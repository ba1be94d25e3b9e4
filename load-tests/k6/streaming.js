// Streams at a constant rate: each arrives whole, event by event, and ends with its marker. k6 reads a
// stream to its end before it returns, so http_req_waiting is the time to the first byte and
// http_req_duration the time to the last one.
//   k6 run -e BASE_URL=http://127.0.0.1:8080/v1 -e KEY=... -e RATE=20 load-tests/k6/streaming.js

import { check } from 'k6';
import { chat, modelOr, openLoop, rateOr } from './settings.js';

const chunks = Number(__ENV.CHUNKS || 100);
const model = modelOr(`gpt-4o-mini;chunks=${chunks};gap=10ms`);

export const options = {
  scenarios: { streams: openLoop(rateOr(20), chunks / 80) },
  thresholds: {
    checks: ['rate>0.999'],
    http_req_failed: ['rate<0.001'],
    http_req_waiting: [`p(99)<${__ENV.TTFT_P99_MS || 50}`],
    // 100 gaps of 10 ms and of the timer's millisecond, with room for a busy machine.
    http_req_duration: [`p(99)<${__ENV.P99_MS || 3000}`],
    dropped_iterations: ['count<10'],
  },
};

export default function () {
  const answer = chat(model, 'Tell me of the line.', { stream: true, stream_options: { include_usage: true } });
  const body = answer.body || '';
  check(answer, {
    'status is 200': (r) => r.status === 200,
    'it is an event stream': (r) => (r.headers['Content-Type'] || '').startsWith('text/event-stream'),
    'it ends with data: [DONE]': () => body.trimEnd().endsWith('data: [DONE]'),
    'every content chunk arrived': () => __ENV.MODEL !== undefined || contents(body) === chunks,
    'usage is in the last chunk': () => /"total_tokens":\d/.test(body),
  });
}

function contents(body) {
  return body.split('"delta":{"content":').length - 1;
}
