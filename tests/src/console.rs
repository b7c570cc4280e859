//! Sessions in documents: commands with what they print.

/// A command with what is to be printed.
#[derive(Clone, Debug)]
pub struct Step {
    /// The command, for a shell.
    pub command: String,
    /// What stands below it.
    pub output: String,
}

/// The steps of all sessions, which begin by a line ```` ```console ````: `$ ` before a command, `> ` before
/// what continues it.
///
/// # Panics
/// If one does not begin with a command.
pub fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match (inside, line) {
            (false, "```console") => inside = true,
            (true, "```") => inside = false,
            (true, line) => match (line.strip_prefix("$ "), line.strip_prefix("> "), steps.last_mut()) {
                (Some(command), _, _) => steps.push(Step { command: command.into(), output: String::new() }),
                (None, Some(more), Some(step)) => step.command += &format!("\n{more}"),
                (None, None, Some(step)) => step.output += &format!("{line}\n"),
                (None, _, None) => panic!("{line}: a session begins with a command"),
            },
            (false, _) => {}
        }
    }
    steps
}
