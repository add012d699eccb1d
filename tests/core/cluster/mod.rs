//! The protocol by which nodes share limits: explored exhaustively, walked at random, and
//! compared with the script of the server. And what they tell each other besides.

mod calls;
mod check;
mod hostile;
mod instances;
mod ledgers;
mod marks;
mod messages;
mod nemesis;
mod notices;
mod rates;
mod redis;
mod rest;
mod rules;
mod secrets;
mod server;
mod walk;
mod world;
