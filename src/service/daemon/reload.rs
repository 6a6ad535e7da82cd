//! Reload: SIGHUP makes the daemon read its settings again.
//!
//! ```text
//! SIGHUP ─► read, validate, open files ─► every part gets its new options ─► config_reloaded
//!                        │ any error: nothing is changed
//!                        └──────────────────────────────────────────────────► config_reload_failed
//! ```
//!
//! Open connections keep running. The table of settings ([`crate::config::SECTIONS`]) has the effect of each:
//! at once, for new connections, or at the next start.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::Signal;
use tokio::sync::watch;

use super::super::Error;
use super::super::notify::Notifier;
use super::super::snapshot::ShownSettings;
use super::super::transport;
use super::options;
use crate::committer::Committer;
use crate::config::{self, Config, Inputs, RawSettings, Reload, ReloadError};
use crate::forwarder;
use crate::listener::{ListenerSettings, TransportOptions};
use crate::telemetry::status;
use crate::telemetry::{Telemetry, clock};
use crate::tls::TlsServer;

/// Explains the event `config_reload_failed`.
const FAILED_DETAIL: &str = "nothing was changed; the settings read before remain in use";

/// The settings of the process, and where to read them again.
#[derive(Clone, Debug)]
pub(in crate::service) struct SettingsInUse {
    /// The file of `--env-file`, if it was given.
    pub(in crate::service) env_file: Option<PathBuf>,
    /// The values as written.
    pub(in crate::service) raw: RawSettings,
    /// The same, validated.
    pub(in crate::service) config: Config,
}

/// Reads the settings again, and passes them to the components.
pub(super) struct Reloader {
    pub(super) settings: SettingsInUse,
    pub(super) listener: ListenerSettings,
    pub(super) committer: Committer,
    /// `None` in store-only mode.
    pub(super) delivery: Option<watch::Sender<forwarder::Settings>>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) http_tls: watch::Sender<Option<Arc<TlsServer>>>,
    pub(super) shown: watch::Sender<ShownSettings>,
    pub(super) notifier: Arc<Notifier>,
}

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Settings(#[from] ReloadError),
    #[error(transparent)]
    Files(#[from] Error),
}

/// New settings, with the files that they name.
struct Prepared {
    reload: Reload,
    transport: TransportOptions,
    http_tls: Option<Arc<TlsServer>>,
    delivery: Option<forwarder::Settings>,
}

/// Reads the settings and the files that they name. It blocks.
fn prepare(settings: &SettingsInUse, transport: &TransportOptions) -> Result<Prepared, Failure> {
    let inputs = Inputs::from_process(settings.env_file.as_deref()).map_err(ReloadError::Invalid)?;
    let reload = config::reload(&settings.raw, &settings.config, &inputs)?;
    let transport = transport::reloaded(&reload.config.listen.transport, transport)?;
    let http_tls = transport::http(reload.config.http.as_ref())?;
    let database = reload.config.database.as_ref();
    let delivery = database.map(|database| options::delivery(&reload.config, database)).transpose()?;
    Ok(Prepared { reload, transport, http_tls, delivery })
}

impl Reloader {
    /// Reloads at every signal; never returns.
    pub(super) async fn run(mut self, mut hangup: Signal) {
        while hangup.recv().await.is_some() {
            self.notifier.reloading();
            let (settings, transport) = (self.settings.clone(), self.listener.get().transport.clone());
            let preparing = tokio::task::spawn_blocking(move || prepare(&settings, &transport));
            match preparing.await {
                Ok(Ok(prepared)) => self.apply(prepared),
                Ok(Err(failure)) => self.failed(failure.to_string()),
                Err(panic) => self.failed(panic.to_string()),
            }
            self.notifier.send("READY=1");
        }
    }

    fn apply(&mut self, Prepared { reload, transport, http_tls, delivery }: Prepared) {
        let Reload { raw, config, changed, waiting } = reload;
        self.telemetry.reload(&config.logging);
        self.listener.replace(options::listener(&config, transport));
        let former = self.http_tls.send_replace(http_tls.clone());
        if let Some((server, former)) = http_tls.zip(former) {
            server.log_replacement_of(&former);
        }
        let limits = options::limits(&config.wal);
        if limits != options::limits(&self.settings.config.wal) {
            self.committer.set_limits(limits);
        }
        if let Some((sender, delivery)) = self.delivery.as_ref().zip(delivery) {
            sender.send_replace(delivery);
        }
        self.shown.send_modify(|shown| {
            shown.slots = options::slots(&config);
            shown.expected_routers.clone_from(&config.listen.expected_routers);
            shown.reload = status::Reload {
                count: shown.reload.count + 1,
                time: Some(clock::iso8601(clock::now())),
                error: None,
                waiting: waiting.clone(),
            };
        });
        super::super::log_warnings(&config);
        let listed = |names: &[String]| (!names.is_empty()).then(|| names.join(", "));
        tracing::info!(changed = listed(&changed), needs_restart = listed(&waiting), "config_reloaded");
        (self.settings.raw, self.settings.config) = (raw, config);
    }

    fn failed(&self, error: String) {
        tracing::error!(error, detail = FAILED_DETAIL, "config_reload_failed");
        self.shown.send_modify(|shown| shown.reload.error = Some(error));
    }
}
