// Requests whose first deployment fails: the client must never notice. MODEL names a model of the
// gateway whose first deployment misbehaves and whose fallback is in good health, for instance
//   models:
//     fragile: {deployments: [{provider: mock, model: "m;status=500"}], fallbacks: [steady]}
//     steady: {deployments: [{provider: mock, model: m}]}
//   k6 run -e BASE_URL=http://127.0.0.1:8080/v1 -e KEY=... -e MODEL=fragile load-tests/k6/fallback.js
// Against the mock alone the default MODEL is one in good health, which tries the script itself.

import { check } from 'k6';
import { Counter } from 'k6/metrics';
import { chat, modelOr, openLoop, rateOr } from './settings.js';

const model = modelOr('gpt-4o-mini');
const fallbacks = new Counter('fallbacks');
const expectFallback = __ENV.EXPECT_FALLBACK === '1';

const thresholds = {
  checks: ['rate>0.999'],
  http_req_failed: ['rate<0.001'],
  http_req_duration: [`p(99)<${__ENV.P99_MS || 500}`],
  dropped_iterations: ['count<10'],
};
if (expectFallback) {
  thresholds.fallbacks = ['count>0'];
}

export const options = { scenarios: { fallback: openLoop(rateOr(100), 0.2) }, thresholds };

export default function () {
  const stream = __ITER % 2 === 1;
  const answer = chat(model, 'Which way now?', stream ? { stream: true } : {}, { stream: String(stream) });
  const body = answer.body || '';
  const told = answer.headers['X-Signalbox-Fallback'];
  if (told !== undefined && told !== '' && told !== 'false' && told !== '0') {
    fallbacks.add(1);
  }
  check(answer, {
    'status is 200': (r) => r.status === 200,
    'the answer is whole': () =>
      stream ? body.trimEnd().endsWith('data: [DONE]') : body.includes('"finish_reason":"stop"'),
    'no error is in it': () => !body.includes('"error"'),
  });
}
