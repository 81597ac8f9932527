//! The renewal of an access token: the call, and the meaning of its answer.

pub mod answer;
pub mod call;
