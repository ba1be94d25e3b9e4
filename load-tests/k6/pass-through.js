// Plain chat requests at a constant rate: nothing fails, and the tail stays short.
//   k6 run -e BASE_URL=http://127.0.0.1:8080/v1 -e KEY=... -e RATE=500 -e DURATION=20s load-tests/k6/pass-through.js

import { check } from 'k6';
import { chat, modelOr, openLoop, rateOr } from './settings.js';

const model = modelOr('gpt-4o-mini');
const text = 'The signal box at the junction is quiet tonight. '.repeat(20);

export const options = {
  scenarios: { plain: openLoop(rateOr(500), 0.05) },
  thresholds: {
    checks: ['rate>0.999'],
    http_req_failed: ['rate<0.001'],
    http_req_duration: [`p(99)<${__ENV.P99_MS || 50}`],
    dropped_iterations: ['count<10'],
  },
};

export default function () {
  const answer = chat(model, text);
  check(answer, {
    'status is 200': (r) => r.status === 200,
    'the answer has text': (r) => r.status === 200 && r.json('choices.0.message.content').length > 0,
    'usage is counted': (r) => r.status === 200 && r.json('usage.total_tokens') > 0,
  });
}
