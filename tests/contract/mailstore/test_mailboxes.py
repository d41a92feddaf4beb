"""Creating, deleting, renaming, subscribing: RFC 9051 sections 6.3.4 to 6.3.9, RFC 6154."""

from __future__ import annotations

import pytest

from angarium.mailstore.interface import MailboxExistsError, MailboxNameError, NoSuchMailboxError


def names(found):
    return [mailbox.name for mailbox in found]


def test_a_new_account_has_inbox_and_the_special_folders_subscribed(run):
    async def test(account, _store):
        found = await account.mailboxes()
        assert names(found) == ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"]
        assert {one.name: one.special_use for one in found} == {
            "INBOX": "",
            "Sent": "\\Sent",
            "Drafts": "\\Drafts",
            "Junk": "\\Junk",
            "Trash": "\\Trash",
            "Archive": "\\Archive",
        }
        assert all(one.subscribed and one.selectable for one in found)
        assert len({one.uidvalidity for one in found}) == len(found)

    run(test)


def test_an_account_name_is_one_account_whatever_its_case(run):
    async def test(account, store):
        await account.create("Mine")
        other = await store.open("BOB@Example.Test")
        assert other.account == account.account
        assert "Mine" in names(await other.mailboxes())

    run(test)


def test_create_makes_bare_levels_above(run):
    async def test(account, _store):
        created = await account.create("a/b/c", "\\Flagged")
        assert (created.name, created.special_use, created.selectable) == ("a/b/c", "\\Flagged", True)
        assert [(await account.mailbox(name)).selectable for name in ("a", "a/b")] == [False, False]
        made = await account.create("a/b")
        assert made.selectable
        assert made.uidvalidity > created.uidvalidity
        with pytest.raises(MailboxExistsError):
            await account.create("a/b")

    run(test)


def test_inbox_is_one_name_in_any_case(run):
    async def test(account, _store):
        assert (await account.mailbox("inbox")).name == "INBOX"
        with pytest.raises(MailboxExistsError):
            await account.create("Inbox")
        assert (await account.create("inbox/below")).name == "INBOX/below"

    run(test)


@pytest.mark.parametrize(
    "name", ["", "/", "a//b", "/a", "a/", "a\nb", "a\0b", "x" * 2000, "/".join("a" * 100), "a\u202eb"]
)
def test_names_that_are_refused(run, name):
    async def test(account, _store):
        with pytest.raises(MailboxNameError):
            await account.create(name)

    run(test)


@pytest.mark.parametrize(
    "name", ["Ünïcode", "a b", "x.y", "..", "%", "*", "a&b", "日本語", "'; DROP TABLE mailbox; --"]
)
def test_names_that_are_allowed(run, name):
    async def test(account, _store):
        assert (await account.create(name)).name == name
        assert (await account.mailbox(name)).name == name
        await account.delete(name)

    run(test)


def test_delete(run, mail):
    async def test(account, _store):
        await account.create("a/b")
        await account.append([mail(mailbox="a/b")])
        await account.delete("a/b")
        assert "a" not in names(await account.mailboxes())
        assert (await account.quota()).messages_used == 0
        with pytest.raises(NoSuchMailboxError):
            await account.delete("a/b")
        with pytest.raises(MailboxNameError):
            await account.delete("INBOX")

    run(test)


def test_delete_with_mailboxes_below_leaves_a_bare_level(run, mail):
    async def test(account, _store):
        old = await account.create("a")
        await account.create("a/b")
        await account.append([mail(mailbox="a")])
        await account.delete("a")
        assert not (await account.mailbox("a")).selectable
        with pytest.raises(NoSuchMailboxError):
            await account.append([mail(mailbox="a")])
        with pytest.raises(MailboxNameError):
            await account.delete("a")
        new = await account.create("a")
        assert new.uidvalidity > old.uidvalidity
        assert (await account.status(new.id)).messages == 0
        assert (await account.quota()).messages_used == 0

    run(test)


def test_a_deleted_mailbox_made_again_has_a_greater_uidvalidity(run, mail):
    async def test(account, _store):
        first = await account.create("x")
        await account.append([mail(mailbox="x")])
        await account.delete("x")
        second = await account.create("x")
        assert second.uidvalidity > first.uidvalidity
        assert (await account.states(second.id)) == []

    run(test)


def test_rename_takes_what_is_below_along(run, mail):
    async def test(account, _store):
        made = await account.create("a/b")
        await account.create("a/b/c")
        await account.create("a/bc")
        await account.append([mail(mailbox="a/b")])
        await account.rename("a/b", "new/name")
        found = names(await account.mailboxes())
        assert {"new", "new/name", "new/name/c", "a/bc"} <= set(found)
        assert not {"a/b", "a/b/c"} & set(found)
        moved = await account.mailbox("new/name")
        assert (moved.id, moved.uidvalidity) == (made.id, made.uidvalidity)
        assert (await account.status(moved.id)).messages == 1

    run(test)


def test_rename_refuses(run):
    async def test(account, _store):
        await account.create("a")
        for old, new, error in (
            ("missing", "x", NoSuchMailboxError),
            ("a", "Sent", MailboxExistsError),
            ("a", "a/b", MailboxNameError),
            ("a", "inbox", MailboxExistsError),
        ):
            with pytest.raises(error):
                await account.rename(old, new)

    run(test)


def test_rename_of_inbox_moves_its_messages(run, mail):
    async def test(account, _store):
        inbox = await account.mailbox("INBOX")
        await account.append([mail(), mail()])
        await account.rename("INBOX", "old mail")
        assert (await account.mailbox("INBOX")).id == inbox.id
        assert (await account.status(inbox.id)).messages == 0
        assert (await account.status((await account.mailbox("old mail")).id)).messages == 2
        assert (await account.changes(inbox.id, 0)).vanished == [1, 2]

    run(test)


def test_subscriptions_outlive_their_mailboxes(run):
    async def test(account, _store):
        await account.create("x")
        await account.subscribe("x", subscribed=True)
        await account.subscribe("nowhere", subscribed=True)
        await account.subscribe("nowhere", subscribed=True)
        await account.subscribe("Sent", subscribed=False)
        await account.delete("x")
        found = await account.subscriptions()
        assert {"x", "nowhere"} <= set(found)
        assert "Sent" not in found
        assert not (await account.mailbox("Sent")).subscribed

    run(test)


def test_what_is_stored_is_there_after_opening_again(open_store, mail):
    import asyncio

    async def write():
        store = open_store()
        account = await store.open("bob@example.test")
        await account.create("kept")
        await account.append([mail()])
        await store.close()

    async def read():
        store = open_store()
        account = await store.open("bob@example.test")
        assert "kept" in names(await account.mailboxes())
        assert len(await account.states((await account.mailbox("INBOX")).id)) == 1
        await store.close()

    asyncio.run(write())
    asyncio.run(read())
