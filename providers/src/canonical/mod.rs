//! The neutral form between two wire formats.
