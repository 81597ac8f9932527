//! The renewal of an access token: the call, and what its answer means.

pub mod answer;
pub mod call;
