// What every script reads from the environment, and the request they share.

import http from 'k6/http';

export const baseUrl = __ENV.BASE_URL || 'http://127.0.0.1:8080/v1';
export const key = __ENV.KEY || 'sk-mock';
export const duration = __ENV.DURATION || '20s';

// The model under test; each script has its own default, because the behaviour is in the name.
export function modelOr(fallback) {
  return __ENV.MODEL || fallback;
}

export function rateOr(fallback) {
  return Number(__ENV.RATE || fallback);
}

// An open loop: requests start on time, however slow the answers are. `seconds` is what one request is
// expected to take; twice the virtual users it needs wait from the start, ten times may be added.
export function openLoop(rate, seconds) {
  const needed = Math.ceil(rate * seconds) + 10;
  return {
    executor: 'constant-arrival-rate',
    rate,
    timeUnit: '1s',
    duration,
    preAllocatedVUs: needed * 2,
    maxVUs: needed * 10,
  };
}

export function chat(model, text, more = {}, tags = {}) {
  const body = { model, messages: [{ role: 'user', content: text }], ...more };
  return http.post(`${baseUrl}/chat/completions`, JSON.stringify(body), {
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` },
    tags,
    timeout: '30s',
  });
}
