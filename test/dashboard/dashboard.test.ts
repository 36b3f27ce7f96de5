import type { Browser, Page } from "playwright-core";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { bootIdOf, moveRollout, rolledBack, rolloutRecord, twoSites, writing } from "../helpers/rollouts.ts";
import { digestOf, machineRecord, macOf, newEvent } from "../store/records.ts";
import { missingBrowser, startBrowser } from "./browser.ts";
import { type DashboardHub, startDashboardHub, TOKEN, VIEWER_TOKEN } from "./dashboard-hub.ts";
import { brokenBoot, wholeFleet } from "./fleet.ts";

const missing = missingBrowser();
if (missing !== undefined) console.warn(`skipped: the dashboard in a browser: ${missing}`);

describe.skipIf(missing !== undefined)("the dashboard", () => {
  let browser: Browser;

  beforeAll(async () => {
    await build({ root: "src/dashboard", configFile: "src/dashboard/vite.config.ts", logLevel: "warn" });
    browser = await startBrowser();
  }, 60_000);

  afterAll(() => browser?.close());

  async function openPage(): Promise<{ hub: DashboardHub; page: Page; complaints: string[] }> {
    const hub = await startDashboardHub();
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    onTestFinished(async () => {
      await context.close();
      await hub[Symbol.asyncDispose]();
    });
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on("pageerror", error => complaints.push(error.message));
    page.on("console", message => {
      if (/Content Security Policy|Refused/.test(message.text())) complaints.push(message.text());
    });
    await page.goto(hub.url);
    return { hub, page, complaints };
  }

  async function signIn(page: Page, token = TOKEN): Promise<void> {
    await page.getByLabel("Token").fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
  }

  test("says where the token lies and refuses a wrong one in the hub's words", async () => {
    const { page } = await openPage();
    await page.getByText("sudo cat /var/lib/drp/admin.token").waitFor();
    await signIn(page, "drp_wrong");
    expect(await page.getByRole("alert").textContent()).toMatch(/token/i);
  });

  test("tells a new user how to get the first machine and the first image", async () => {
    const { page } = await openPage();
    await signIn(page);
    await page.getByText("drp machines create NAME --mac 52:54:00:12:34:56").waitFor();
    await page.getByText("drp images keys create NAME").waitFor();
    await page.getByText("dhcp is off").waitFor();
  });

  test("shows machines, and follows one from its order to its health without a reload", async () => {
    const { hub, page, complaints } = await openPage();
    await hub.store.commit(wholeFleet(Date.now()));
    await signIn(page);
    await page.getByRole("status").getByText("Live").waitFor();
    const row = page.getByRole("row", { name: /till-2/ });
    expect(await row.textContent()).toContain("installing");
    const bar = page.getByRole("progressbar", { name: "Install of till-2" });
    expect(await bar.getAttribute("value")).toBe("41");

    const before = await hub.store.findMachine("till-2");
    if (before?.running === null || before === undefined) throw new Error("the fleet has no till-2");
    const running = { ...before.running, image: digestOf("b") };
    await hub.store.commit([
      {
        kind: "update-machine",
        machine: { ...before, state: { kind: "healthy" }, running, revision: before.revision + 1 },
        expectedRevision: before.revision,
      },
      {
        kind: "append-event",
        event: newEvent({ at: Date.now(), machineId: before.id, summary: "till-2 is healthy on app:v2" }),
      },
    ]);
    await row.getByText("healthy").waitFor();
    await row.getByText("app:v2").waitFor();
    await page.getByLabel("Newest events").getByText("till-2 is healthy on app:v2").waitFor();
    expect(complaints).toEqual([]);
  });

  test("shows a machine that comes up for the first time", async () => {
    const { hub, page } = await openPage();
    await signIn(page);
    await page.getByText("No machines yet.").waitFor();
    await hub.store.commit([
      { kind: "insert-machine", machine: machineRecord({ id: "m-9", name: "new-1", macs: [macOf(9)] }) },
      { kind: "append-event", event: newEvent({ machineId: "m-9", summary: "new-1 is new" }) },
    ]);
    await page.getByRole("row", { name: /new-1/ }).waitFor();
  });

  test("opens a machine's timeline by keyboard, newest first, and gives the focus back", async () => {
    const { hub, page } = await openPage();
    await hub.store.commit(wholeFleet(Date.now()));
    await signIn(page);
    const name = page.getByRole("row", { name: /till-2/ }).getByRole("button");
    await name.focus();
    await page.keyboard.press("Enter");
    const panel = page.getByRole("dialog", { name: "till-2" });
    const lines = panel.locator(".timeline li");
    await lines.first().getByText("till-2: writing").waitFor();
    expect(await lines.count()).toBe(5);
    await page.keyboard.press("Escape");
    await panel.waitFor({ state: "detached" });
    expect(await page.evaluate("document.activeElement.textContent")).toBe("till-2");
  });

  test("tells a machine's boots: how far each came, what stopped it, what to do", async () => {
    const { hub, page, complaints } = await openPage();
    const now = Date.now();
    const boot = brokenBoot(now - 600_000, "m-4", macOf(4));
    await hub.store.commit([...wholeFleet(now), ...boot]);
    await signIn(page);
    await page
      .getByRole("row", { name: /kiosk-entrance-north/ })
      .getByRole("button")
      .click();
    const panel = page.getByRole("dialog", { name: "kiosk-entrance-north" });
    const newest = panel.locator(".boot").first();
    await newest.getByText("snponly.efi was fetched whole, and iPXE was never heard of").waitFor();
    await newest.getByText("Set boot.loader: signed in drp.yaml").waitFor();
    const stages = newest.getByRole("list", { name: "Stages of the boot" }).getByRole("listitem");
    expect(await stages.allTextContents()).toContain("Loader 100 %");
    const packets = newest.getByRole("list", { name: "Packets and decisions" });
    expect(await packets.getByRole("listitem").first().textContent()).toContain("DISCOVER → OFFER");
    await page.setViewportSize({ width: 360, height: 700 });
    expect(await page.evaluate("document.querySelector('dialog').scrollWidth")).toBeLessThanOrEqual(360);
    expect(complaints).toEqual([]);
  });

  /** The fleet of two stores, with app:v2 on its way. */
  async function openRolloutPage(token = TOKEN) {
    const opened = await openPage();
    const now = Date.now();
    const { store } = opened.hub;
    const { state, waves, machines } = rolledBack(now - 600_000);
    const earlier = rolloutRecord(now - 600_000, { id: "r-0" });
    await store.commit([...twoSites(now), { kind: "insert-rollout", rollout: earlier }]);
    await moveRollout(store, "r-0", { state, waves, machines });
    await store.commit([{ kind: "insert-rollout", rollout: rolloutRecord(now) }]);
    await signIn(opened.page, token);
    const card = opened.page.getByRole("article", { name: "Rollout of app:v2" });
    await card.waitFor();
    return { ...opened, card, now };
  }

  test("shows a rollout that starts, and its machines as they move, without a reload", async () => {
    const { hub, page, complaints } = await openPage();
    const now = Date.now();
    await hub.store.commit(twoSites(now));
    await signIn(page);
    await page.getByRole("row", { name: /till-1/ }).waitFor();
    await hub.store.commit([
      { kind: "insert-rollout", rollout: rolloutRecord(now) },
      { kind: "append-event", event: newEvent({ kind: "rollout.started", facts: { rollout: "r-1" } }) },
    ]);
    const card = page.getByRole("article", { name: "Rollout of app:v2" });
    await card.getByText("Wave 1 of 2 has been open").waitFor();
    await card.getByText("app:v1 →").waitFor();
    const { machines } = rolloutRecord(now);
    await moveRollout(hub.store, "r-1", { machines: { ...machines, "m-1": writing(now, 0.43) } });
    await card.getByText("fetching 43%").waitFor();
    expect(await card.getByRole("progressbar", { name: "Update of till-1" }).getAttribute("value")).toBe(
      "43",
    );
    expect(complaints).toEqual([]);
  });

  test("pauses a rollout, says who did, and goes on with it", async () => {
    const { hub, card } = await openRolloutPage();
    await card.getByRole("button", { name: "Pause" }).click();
    await card.getByText("Paused by admin just now.").waitFor();
    expect((await hub.store.findRollout("r-1"))?.state.kind).toBe("paused");
    await card.getByRole("button", { name: "Resume" }).click();
    await card.getByText("Wave 1 of 2 has been open").waitFor();
  });

  test("rolls back only after a second yes", async () => {
    const { hub, page, card } = await openRolloutPage();
    await card.getByRole("button", { name: "Roll back…" }).click();
    const dialog = page.getByRole("dialog", { name: "Roll app:v2 back?" });
    await dialog.getByRole("button", { name: "Keep going" }).click();
    expect((await hub.store.findRollout("r-1"))?.state.kind).toBe("running");
    await card.getByRole("button", { name: "Roll back…" }).click();
    await dialog.getByRole("button", { name: "Roll back" }).click();
    await card.getByText("Admin ordered it. Going back by itself").waitFor();
    expect((await hub.store.findRollout("r-1"))?.state.kind).toBe("rolling-back");
  });

  test("gives a viewer no buttons", async () => {
    const { card } = await openRolloutPage(VIEWER_TOKEN);
    await card.getByText("Wave 1 of 2 has been open").waitFor();
    expect(await card.getByRole("button").count()).toBe(0);
  });

  test("says why a rollout was undone, with digest and boot id of every machine", async () => {
    const { hub, page, card, now } = await openRolloutPage();
    const { state, waves, machines } = rolledBack(now);
    await moveRollout(hub.store, "r-1", { state, waves, machines });
    await card
      .getByText("Wave 1 failed: till-1 fell back: app: exit code 7 after 3 s. Undone: 3 of 3")
      .waitFor();
    const proof = card.getByRole("list", { name: "Proof of the rollback" }).getByRole("listitem");
    expect(await proof.first().textContent()).toMatch(
      new RegExp(`till-1.*app:v1.*sha256:aaaaaaaaaaaa.*${bootIdOf(1, 3)}`),
    );
    expect(await proof.count()).toBe(3);
    await page.getByText("Earlier rollouts (1)").waitFor();
  });

  test("a rollout fits 360 pixels without scrolling sideways", async () => {
    const { page } = await openRolloutPage();
    await page.setViewportSize({ width: 360, height: 700 });
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(360);
  });

  test("fits 360 pixels without scrolling sideways", async () => {
    const { hub, page } = await openPage();
    await hub.store.commit(wholeFleet(Date.now()));
    await page.setViewportSize({ width: 360, height: 700 });
    await signIn(page);
    await page.getByRole("row", { name: /till-2/ }).waitFor();
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(360);
  });

  test("signing out ends the session", async () => {
    const { page } = await openPage();
    await signIn(page);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Token").waitFor();
    await page.reload();
    await page.getByLabel("Token").waitFor();
  });
});
