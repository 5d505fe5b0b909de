//! Support for the tests that run the whole.
