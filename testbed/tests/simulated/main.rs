//! Relay and agents in worlds of their own making: no process, no socket, no waiting.

mod schedules;
