import { useState } from "preact/hooks";
import { signIn } from "./api.ts";

export function SignIn({ onSignedIn }: { onSignedIn: () => void }) {
  const [token, setToken] = useState("");
  const [refusal, setRefusal] = useState("");
  const [busy, setBusy] = useState(false);

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    setRefusal("");
    try {
      await signIn(token.trim());
      onSignedIn();
    } catch (error) {
      setRefusal(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };

  return (
    <main class="sign-in">
      <form class="card" onSubmit={submit}>
        <h1 class="brand">drp</h1>
        <p>Sign in with a token to see this fleet.</p>
        <label for="token">Token</label>
        <input
          id="token"
          type="password"
          autocomplete="off"
          spellcheck={false}
          required
          autofocus
          value={token}
          aria-describedby={refusal === "" ? "token-help" : "token-refusal token-help"}
          aria-invalid={refusal !== ""}
          onInput={event => setToken(event.currentTarget.value)}
        />
        {refusal !== "" && (
          <p id="token-refusal" class="refusal" role="alert">
            {refusal}
          </p>
        )}
        <button type="submit" class="primary" disabled={busy}>
          {busy ? "Signing in…" : "Sign in"}
        </button>
        <div id="token-help" class="help">
          <p>The first admin token lies in the hub's data folder:</p>
          <pre>
            <code>sudo cat /var/lib/drp/admin.token</code>
          </pre>
          <p>
            or <code>cat .drp/admin.token</code> where the hub was started as a user. For someone else make
            one with <code>drp tokens create NAME --role viewer</code>.
          </p>
        </div>
      </form>
    </main>
  );
}
