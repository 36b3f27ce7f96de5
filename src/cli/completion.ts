/** Completion scripts, written from the command tree itself. */
import type { Command } from "commander";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

interface Entry {
  /** "machines install" */
  readonly path: string;
  /** Sub-commands, or flags where there are none. */
  readonly words: readonly string[];
}

export function completionScript(root: Command, shell: Shell): string {
  // Longest first: the first pattern that matches wins.
  const entries = entriesOf(root, "").sort((one, other) => other.path.length - one.path.length);
  return SCRIPTS[shell](entries);
}

function entriesOf(command: Command, path: string): Entry[] {
  const children = command.commands.filter(child => child.name() !== "help");
  const flags = command.options.flatMap(option => (option.long === undefined ? [] : [option.long]));
  const words = children.length > 0 ? children.map(child => child.name()) : flags;
  return [{ path, words }, ...children.flatMap(child => entriesOf(child, `${path} ${child.name()}`.trim()))];
}

const casePatterns = (entries: readonly Entry[], line: (words: string) => string) =>
  entries
    .map(({ path, words }) => `    "${path === "" ? "" : ` ${path}`}"*) ${line(words.join(" "))} ;;`)
    .join("\n");

const SCRIPTS: Record<Shell, (entries: readonly Entry[]) => string> = {
  bash: entries => `# drp completion for bash: source <(drp completion bash)
_drp() {
  local word path=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do [[ $word == -* ]] || path="$path $word"; done
  case "$path" in
${casePatterns(entries, words => `COMPREPLY=($(compgen -W "${words}" -- "\${COMP_WORDS[COMP_CWORD]}"))`)}
  esac
}
complete -o default -F _drp drp
`,
  zsh: entries => `#compdef drp
# drp completion for zsh: source <(drp completion zsh)
_drp() {
  local word path_=""
  for word in "\${(@)words[2,CURRENT-1]}"; do [[ $word == -* ]] || path_="$path_ $word"; done
  case "$path_" in
${casePatterns(entries, words => `compadd -- ${words}`)}
  esac
}
compdef _drp drp
`,
  fish: entries => `# drp completion for fish: drp completion fish | source
function __drp_path
  set -l words (commandline -opc)
  string join ' ' -- (string match --invert -- '-*' $words[2..-1])
end
complete -c drp -f
${entries
  .filter(entry => entry.words.length > 0)
  .map(
    ({ path, words }) =>
      `complete -c drp -n 'string match -qr "^${path}${words[0]?.startsWith("--") ? "( |$)" : "$"}" -- (__drp_path)' -a '${words.join(" ")}'`,
  )
  .join("\n")}
`,
};
