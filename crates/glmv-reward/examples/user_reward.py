#!/usr/bin/env python3
"""A user reward for glmv: JSON lines on stdin and stdout, protocol version 1.

Scores 1 if the reference is in the answer, minus 0.1 for each further sentence, at least 0.
Use it as   command = ["python3", "user_reward.py"]   of a process reward.
"""
import json
import sys


def reward(sample):
    if not sample["ground_truth"]:
        raise ValueError("no reference")
    answer = sample["extracted"] or sample["response"]
    if sample["ground_truth"].lower() not in answer.lower():
        return 0.0
    sentences = [s for s in answer.split(".") if s.strip()]
    return max(0.0, 1.0 - 0.1 * (len(sentences) - 1))


def main():
    hello = json.loads(sys.stdin.readline())
    if hello != {"protocol": "glmv-reward", "version": 1}:
        sys.exit(f"cannot speak {hello}")
    print(json.dumps(hello), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = {"id": request["id"], "reward": reward(request["sample"])}
        except Exception as error:  # every request gets a reply
            reply = {"id": request["id"], "error": str(error)}
        print(json.dumps(reply, allow_nan=False), flush=True)


if __name__ == "__main__":
    main()
