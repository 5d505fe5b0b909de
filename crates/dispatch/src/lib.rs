//! (rooms to come)
