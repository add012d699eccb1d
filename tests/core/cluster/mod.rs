//! The protocol by which nodes share limits: explored exhaustively, walked at random, and
//! compared with the script of the server.

mod calls;
mod check;
mod hostile;
mod instances;
mod ledgers;
mod messages;
mod nemesis;
mod redis;
mod rest;
mod secrets;
mod server;
mod walk;
mod world;
