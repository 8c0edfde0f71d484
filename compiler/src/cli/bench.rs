//! `actc bench`.
use super::{Outcome, Session};
/// What may be given.
#[derive(Debug, clap::Args)]
pub struct Args {}
/// Runs.
pub fn run(_args: &Args, _session: &mut Session<'_>) -> Outcome {
    Ok(())
}
