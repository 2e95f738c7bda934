//! The command line and the documents, one module per theme.

#[cfg(test)]
mod check;
#[cfg(test)]
mod command;
#[cfg(test)]
mod directory;
#[cfg(test)]
mod finding_the_config;
#[cfg(test)]
mod format;
#[cfg(test)]
mod generate;
#[cfg(test)]
mod library;
#[cfg(test)]
mod own_action;
#[cfg(test)]
mod packaging;
#[cfg(test)]
mod plugin_commands;
#[cfg(test)]
mod plugins;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod public_items;
#[cfg(test)]
mod purge_relay;
#[cfg(test)]
mod reaching_a_process;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod respond;
#[cfg(test)]
mod start_up;
