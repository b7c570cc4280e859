//! What an engine gets to read: errors and warnings on standard error, and in the file of `--log`.

use super::state::rfc3339;
use crate::cli::oci::{LogFormat, Oci};
use crate::report::tell;
use serde_json::json;
use std::fs::File;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where it is written.
#[derive(Debug)]
pub(super) struct Log {
    file: Option<File>,
    format: LogFormat,
}

impl Log {
    /// As the command line says.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn open(oci: &Oci) -> Result<Log, String> {
        let open = |path: &std::path::PathBuf| {
            let file = File::options().append(true).create(true).open(path);
            file.map_err(|e| format!("--log {}: {e}", path.display()))
        };
        Ok(Log { file: oci.log.as_ref().map(open).transpose()?, format: oci.log_format })
    }

    /// The command has failed.
    pub(super) fn error(&self, text: &str) {
        tell(&format!("rxbox: {text}"));
        self.write("error", text);
    }

    /// Something has no effect.
    pub(super) fn warn(&self, text: &str) {
        self.write("warning", text);
    }

    fn write(&self, level: &str, text: &str) {
        let Some(mut file) = self.file.as_ref() else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = rfc3339(now.as_secs(), now.subsec_nanos());
        let line = match self.format {
            LogFormat::Json => json!({ "level": level, "msg": text, "time": time }).to_string(),
            LogFormat::Text => format!("time=\"{time}\" level={level} msg={text:?}"),
        };
        // The engine may have taken it away.
        let _ = file.write_all(format!("{line}\n").as_bytes());
    }
}
