//! The call that renews a token. A pair of tokens, a connection and a pass go in, a [`Reply`] comes out. It needs the
//! client. Versions of the API want the call in two forms; this file decides only which form comes first.
//!
//! Section 2.4 of `api.md`.

use std::sync::PoisonError;

use crate::command_center::{
    client::{ClientError, CommandCenter},
    connection::Connection,
    gate::Pass,
    renew::answer::{Pair, asks_for_other_form},
    reply::Reply,
};

impl CommandCenter {
    /// Renews `pair`. Call this once for a pair. The form that this Command Center took last comes first, and the other
    /// one after a 401 or 403.
    ///
    /// # Errors
    /// No client can be set up for the connection's certificates; nothing was sent.
    pub async fn renew(&self, pass: &Pass, connection: &Connection, pair: &Pair) -> Result<Reply, ClientError> {
        let endpoint = connection.endpoint.to_string();
        let with_header = self.renewals_with_header.lock().unwrap_or_else(PoisonError::into_inner).contains(&endpoint);
        let first = self.renew_once(pass, connection, pair, with_header).await?;
        if !asks_for_other_form(&first) {
            return Ok(first);
        }
        let second = self.renew_once(pass, connection, pair, !with_header).await?;
        if matches!(&second, Reply::Answer(answer) if answer.status == 200) {
            let mut known = self.renewals_with_header.lock().unwrap_or_else(PoisonError::into_inner);
            if with_header {
                known.remove(&endpoint);
            } else {
                known.insert(endpoint);
            }
        }
        Ok(second)
    }
}
