//! Wire formats and their translation: bytes in, bytes out, no I/O, no async.
