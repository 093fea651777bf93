//! Exactly once: the rules of sessions one by one, random histories against a naive model, and what
//! a snapshot keeps and refuses.

mod damage;
mod model;
mod rig;
mod rules;
