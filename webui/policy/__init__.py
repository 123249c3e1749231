"""The policy of live conversations: its rules, and what each would have done."""
