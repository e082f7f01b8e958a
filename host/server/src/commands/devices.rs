//! `devices ...`: where connectors run.

use crate::answer::Answer;
use crate::arguments::{DevicesCommand, Global};
use crate::connectors::Catalogue;
use crate::connectors::device::Device;
use crate::failure::Failure;
use crate::keeper::Keeper;
use crate::{figures, host, table};
use serde::Serialize;

/// The JSON result: the devices as they are afterwards.
#[derive(Serialize)]
struct Document<'a> {
    total: usize,
    /// `{"name","kind","created","connectors"}`.
    devices: &'a [Device],
}

/// Runs one of the commands.
///
/// # Errors
/// Whatever the command meets with.
pub(crate) async fn run(global: &Global, command: &DevicesCommand) -> Result<Answer, Failure> {
    let directory = host::data_directory(global)?;
    let (devices, text) = match command {
        DevicesCommand::List => (Catalogue::read(&directory)?.devices()?, None),
        DevicesCommand::Add { name } => {
            let keeper = Keeper::open(global)?;
            keeper.add_sensor(name).await?;
            let text =
                format!("sensor {name} was added; a definition with run_on = {name:?} runs there");
            (keeper.catalogue().devices()?, Some(text))
        }
        DevicesCommand::Delete { name } => {
            let keeper = Keeper::open(global)?;
            keeper.delete_device(name).await?;
            let text = format!("sensor {name} was deleted");
            (keeper.catalogue().devices()?, Some(text))
        }
    };
    let text = text.unwrap_or_else(|| describe(&devices));
    let document = Document {
        total: devices.len(),
        devices: &devices,
    };
    Ok(Answer::new(text, &document, 0))
}

fn describe(devices: &[Device]) -> String {
    let rows: Vec<_> = devices
        .iter()
        .map(|device| {
            [
                device.name.clone(),
                match device.kind.as_str() {
                    "dp" => "data processor".into(),
                    kind => kind.to_owned(),
                },
                figures::count(device.connectors),
            ]
        })
        .collect();
    table::of(["NAME", "KIND", "CONNECTORS"], &rows)
}
