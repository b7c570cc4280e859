//! The JSON Schema of profiles, by which editors complete and check them.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;

use super::keys::Profile;

/// The JSON Schema of profiles (draft 2020-12), as text.
pub fn schema_json() -> String {
    format!("{:#}\n", schema().as_value())
}

pub(crate) fn schema() -> Schema {
    // That a key may be missing says all about its default.
    let without_defaults = RecursiveTransform(|schema: &mut Schema| drop(schema.remove("default")));
    let generator = SchemaSettings::draft2020_12().with_transform(without_defaults).into_generator();
    let mut schema = generator.into_root_schema_for::<Profile>();
    schema.insert("title".to_owned(), "A profile of rxbox".into());
    schema
}
