//! Walls around a command.
