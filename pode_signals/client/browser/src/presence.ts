// Who is connected, as a client sees it: views that frames replace and change. It sends nothing.
import type { PresenceFrame } from "./frames.js";
import type { Member, PresenceView } from "./types.js";

type Members = Map<string, Member<unknown>>;

interface View extends PresenceView<unknown> {
  readonly members: Members | null;
}

/** The views of one connection, by group; a new connection begins without any. */
export interface PresenceViews {
  /** Forgets the groups that the client is not in any more. */
  keep(groups: readonly string[]): void;
  /**
   * Takes a frame. Gives the view that it makes, undefined where nothing has changed, and `"watch"` where a frame is
   * missing, so that the client has to ask once for all members.
   */
  applied(frame: PresenceFrame): View | "watch" | undefined;
}

export function presenceViews(): PresenceViews {
  const views = new Map<string | undefined, { seq: number; lastView: View; isAsked?: boolean }>();
  return {
    keep(groups) {
      for (const group of views.keys()) if (group !== undefined && !groups.includes(group)) views.delete(group);
    },
    applied({ seq, group: maybeGroup, members: all, joined, left, count: total }) {
      const group = maybeGroup ?? undefined;
      const known = views.get(group);
      const isReplaced = all || total != null;
      let members: Members | null = null;
      // Before the first list of members no change means anything.
      if (known ? seq <= known.seq && !(isReplaced && known.isAsked) : !isReplaced) return undefined;
      if (all) members = byId(all);
      else if (!isReplaced && known) {
        if (seq > known.seq + 1 || !known.lastView.members) {
          if (known.isAsked) return undefined;
          known.isAsked = true;
          return "watch";
        }
        members = new Map(known.lastView.members);
        for (const id of left ?? []) members.delete(id);
        byId(joined ?? [], members);
      }
      const view = { group, members, count: members?.size ?? total ?? 0 };
      views.set(group, { seq, lastView: view });
      return view;
    },
  };
}

function byId(members: readonly Member<unknown>[], all: Members = new Map()): Members {
  for (const member of members) all.set(member.id, member);
  return all;
}
