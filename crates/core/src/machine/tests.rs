//! Stories about the machine.
