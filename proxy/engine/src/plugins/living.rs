//! Which configured plugins are there: also those of earlier configurations, as long as somebody uses them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use switchback_plugin::{Instance, Kind};

/// Instances, each known until it is gone.
#[derive(Default)]
pub(crate) struct Living(Mutex<Vec<Known>>);

struct Known {
    plugin: Box<str>,
    kind: Kind,
    instance: Weak<dyn Instance>,
}

impl Known {
    fn is_alive(&self) -> bool {
        self.instance.strong_count() > 0
    }
}

impl Living {
    /// One was made under this name.
    pub(super) fn note(&self, plugin: &str, kind: Kind, instance: &Arc<dyn Instance>) {
        let mut known = self.0.lock();
        known.retain(Known::is_alive);
        known.push(Known { plugin: plugin.into(), kind, instance: Arc::downgrade(instance) });
    }

    /// Appends how many of each plugin there are, in the Prometheus text format.
    pub(crate) fn render(&self, out: &mut String) {
        let known = self.0.lock();
        let mut counts = BTreeMap::<(&str, String), u64>::new();
        for one in known.iter().filter(|one| one.is_alive()) {
            *counts.entry((&one.plugin, one.kind.to_string())).or_default() += 1;
        }
        if counts.is_empty() {
            return;
        }
        out.push_str(
            "# HELP switchback_plugin_instances Configured plugins that are there, those of earlier configurations too, while they are used.\n\
             # TYPE switchback_plugin_instances gauge\n",
        );
        for ((plugin, kind), count) in counts {
            let plugin = plugin.replace('\\', "\\\\").replace('"', "\\\"");
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "switchback_plugin_instances{{plugin=\"{plugin}\",kind=\"{kind}\"}} {count}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use switchback_plugin::{Called, Exchange, Flow, Hook, Hooks, State};

    use super::*;

    struct Nothing;

    impl Instance for Nothing {
        fn hooks(&self) -> Hooks {
            Hooks::NONE
        }

        fn start(&self) -> State {
            Box::new(())
        }

        fn call<'a>(
            &'a self,
            _: Hook,
            _: &'a mut State,
            _: &'a mut (dyn Exchange + 'a),
        ) -> Called<'a> {
            Called::Done(Flow::Continue)
        }
    }

    #[test]
    fn what_is_gone_is_not_counted() {
        let living = Living::default();
        let make = |name, kind| {
            let instance: Arc<dyn Instance> = Arc::new(Nothing);
            living.note(name, kind, &instance);
            instance
        };
        let rendered = || {
            let mut out = String::new();
            living.render(&mut out);
            let values = out.lines().filter(|line| !line.starts_with('#'));
            values.map(str::to_owned).collect::<Vec<_>>()
        };
        let old = make("a", Kind::Wasm);
        let _new = make("a", Kind::Wasm);
        let _other = make("b", Kind::Linked);
        let b = "switchback_plugin_instances{plugin=\"b\",kind=\"linked\"} 1";
        let a =
            |count| format!("switchback_plugin_instances{{plugin=\"a\",kind=\"wasm\"}} {count}");
        assert_eq!(rendered(), [&*a(2), b]);
        drop(old);
        assert_eq!(rendered(), [&*a(1), b]);
    }
}
