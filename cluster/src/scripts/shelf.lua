-- The state of the shelf, begun when there is none: its seeds, when it was born, the number of the newest purge.
redis.call('HSETNX', KEYS[1], 'seeds', ARGV[1])
redis.call('HSETNX', KEYS[1], 'born', ARGV[2])
redis.call('HSETNX', KEYS[1], 'number', 0)
return redis.call('HMGET', KEYS[1], 'seeds', 'born', 'number')
